"""Generated passwords and keys: one file each, mode 0600, never printed by accident.

A secret that is being rotated has more files. `NAME.next` is what it will be: it exists from before
any server has heard of it until every one takes it. `NAME.former` is what it was, until every one
refuses it. Both are secrets like others to who masks them.
"""

import base64
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from cluster.errors import InvalidInputError, MissingPrerequisiteError
from cluster.files import write_private

PASSWORD_BYTES = 24  # 192 bits, URL-safe so that it fits connection strings unescaped
KEYFILE_BYTES = 258  # 344 base64 characters; mongod takes 6 to 1024
NEXT, FORMER = ".next", ".former"


class SecretStore:
    """Secrets by name, made on first use and kept in `folder` (mode 0700).

    Raises InvalidInputError where a file of it was emptied or damaged: a new secret would fit no
    server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> SecretStr:
        """The secret of that name; a new password if there is none yet."""
        return self._get(name, _password())

    def find(self, name: str) -> SecretStr | None:
        """The secret of that name; None where none was ever made."""
        try:
            return _read(self._folder / name)
        except FileNotFoundError:
            return None

    def key(self, name: str) -> SecretStr:
        """The shared key of that name (a MongoDB keyfile's text); a new one if there is none."""
        return self._get(name, _key())

    def forget(self, prefix: str) -> None:
        """Remove the secrets whose names begin so: what they were made for is gone."""
        for path in self._folder.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)

    def kept(self, prefix: str = "") -> tuple[str, ...]:
        """The names that begin so, of the secrets that are in force; sorted."""
        files = self._folder.glob(f"{prefix}*") if self._folder.is_dir() else ()
        names = (path.name for path in files if path.is_file() and not path.name.startswith("."))
        return tuple(sorted(name for name in names if not name.endswith((NEXT, FORMER))))

    def made_at(self, name: str) -> float:
        """Since when a secret is in force, in seconds since 1970."""
        return (self._folder / name).stat().st_mtime

    def next(self, name: str) -> SecretStr | None:
        """What a secret will be once it is rotated; None where nobody rotates it."""
        return self.find(name + NEXT)

    def former(self, name: str) -> SecretStr | None:
        """What it was, as long as a server may take that still."""
        return self.find(name + FORMER)

    def half_rotated(self) -> tuple[str, ...]:
        """The names of those whose rotation was begun and not ended; sorted."""
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        found = (path for path in files if path.name.endswith((NEXT, FORMER)))
        return tuple(sorted({path.stem for path in found if not path.name.startswith(".")}))

    def stage(self, name: str, *, key: bool = False) -> SecretStr:
        """What a secret will be: as it was staged before, else made now."""
        return self._get(name + NEXT, _key() if key else _password())

    def adopt(self, name: str, after: str = "") -> None:
        """Put in force what was staged; what was in force becomes its `former`. Idempotent.

        `after`: the name under which that was in force, where it was another.
        """
        staged = self._folder / (name + NEXT)
        if not staged.exists():
            return
        if (old := self.find(after or name)) is not None:
            write_private(self._folder / (name + FORMER), old.get_secret_value())
        os.utime(staged)
        staged.replace(self._folder / name)

    def drop_former(self, name: str) -> None:
        """Forget what it was: nothing takes it any more. Idempotent."""
        (self._folder / (name + FORMER)).unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Forget a secret that nothing needs any more. Idempotent."""
        (self._folder / name).unlink(missing_ok=True)

    def ahead(self, name: str) -> "SecretStore":
        """The same secrets as they will be once `name` is rotated."""
        return _Ahead(self._folder, name)

    def known(self) -> tuple[SecretStr, ...]:
        """Every secret that has been made."""
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        named = (path for path in sorted(files) if path.is_file())  # not `certificates`
        return tuple(_read(path) for path in named if not path.name.startswith("."))

    def _get(self, name: str, new: str) -> SecretStr:
        path = self._folder / name
        try:
            return _read(path)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The loser of a race reads what the winner wrote.
            write_private(path, new, replace=False)
            return _read(path)


class _Ahead(SecretStore):
    """Takes one staged secret for the one in force."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._name = name

    def find(self, name: str) -> SecretStr | None:
        return (super().next(name) if name == self._name else None) or super().find(name)

    def next(self, name: str) -> SecretStr | None:
        return None if name == self._name else super().next(name)

    def _get(self, name: str, new: str) -> SecretStr:
        return self.find(name) or super()._get(name, new)


class MountedSecrets(SecretStore):
    """Secrets that were made elsewhere, and are mounted here: a new one would fit no server."""

    def _get(self, name: str, new: str) -> SecretStr:  # noqa: ARG002
        found = self.find(name)
        if found is None:
            raise MissingPrerequisiteError(
                f"there is no secret {name} in {self._folder}",
                "it is made where the cluster is provisioned, and mounted with the others",
            )
        return found


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(KEYFILE_BYTES)).decode()


def _read(path: Path) -> SecretStr:
    """The secret in a file, which an editor may have ended with a newline."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        raise InvalidInputError(
            f"{path} holds no secret: it must be one line of printable ASCII",
            "put the secret back; servers that were made with it accept no other",
        )
    return SecretStr(text)
