"""Generated passwords and keys: one file each, mode 0600, never printed by accident."""

import base64
import secrets
from pathlib import Path

from pydantic import SecretStr

from cluster.errors import InvalidInputError, MissingPrerequisiteError
from cluster.files import write_private

PASSWORD_BYTES = 24  # 192 bits, URL-safe so that it fits connection strings unescaped
KEYFILE_BYTES = 258  # 344 base64 characters; mongod takes 6 to 1024


class SecretStore:
    """Secrets by name, made on first use and kept in `folder` (mode 0700).

    Raises InvalidInputError where a file of it was emptied or damaged: a new secret would fit no
    server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> SecretStr:
        """The secret of that name; a new password if there is none yet."""
        return self._get(name, secrets.token_urlsafe(PASSWORD_BYTES))

    def find(self, name: str) -> SecretStr | None:
        """The secret of that name; None where none was ever made."""
        try:
            return _read(self._folder / name)
        except FileNotFoundError:
            return None

    def key(self, name: str) -> SecretStr:
        """The shared key of that name (a MongoDB keyfile's text); a new one if there is none."""
        return self._get(name, base64.b64encode(secrets.token_bytes(KEYFILE_BYTES)).decode())

    def forget(self, prefix: str) -> None:
        """Remove the secrets whose names begin so: what they were made for is gone."""
        for path in self._folder.glob(f"{prefix}*"):
            path.unlink(missing_ok=True)

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
