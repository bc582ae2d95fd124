"""Where backups are kept: a folder, or a bucket of any S3 service. Objects are whole or absent."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from cluster.errors import OpsError, UnreachableError

PART = ".part-"
LEFT_OVER = timedelta(days=1)  # what an upload that was cut off leaves is removed after this


@dataclass(frozen=True)
class Object:
    """Something that is kept."""

    key: str
    size: int


class Storage(Protocol):
    """Objects by key. Everything raises UnreachableError, or OpsError for what is not there."""

    @property
    def name(self) -> str:
        """As shown to people."""
        ...

    def put(self, key: str, source: BinaryIO) -> None:
        """Keep what the file holds, from its beginning; whole or not at all."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Read it from its beginning."""
        ...

    def list(self, prefix: str) -> tuple[Object, ...]:
        """What is kept under keys that begin so, in order of the keys."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove them. Idempotent."""
        ...

    def sweep(self) -> None:
        """Remove what writes that were cut off have left."""
        ...


class Folder:
    """A folder. What root writes into it belongs to the folder's owner."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._root)

    def put(self, key: str, source: BinaryIO) -> None:
        """Written beside, synced, renamed."""
        path = self._path(key)
        source.seek(0)
        with self._explained():
            self._make(path.parent)
            handle, name = tempfile.mkstemp(prefix=PART, dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                    os.fchmod(file.fileno(), 0o600)
                    self._give(Path(name))
                Path(name).rename(path)
                _sync(path.parent)
            finally:
                Path(name).unlink(missing_ok=True)

    def open(self, key: str) -> BinaryIO:
        """The file."""
        with self._explained():
            try:
                return self._path(key).open("rb")
            except FileNotFoundError as error:
                raise OpsError(f"{self._path(key)} is missing") from error

    def list(self, prefix: str) -> tuple[Object, ...]:
        """The files, hidden ones apart."""
        folder = self._path(prefix.rpartition("/")[0])
        with self._explained():
            found = (path for path in folder.rglob("*") if not path.name.startswith("."))
            objects = []
            for path in found:
                with suppress(FileNotFoundError):
                    if path.is_file():
                        key = path.relative_to(self._root).as_posix()
                        objects.append(Object(key, path.stat().st_size))
        return tuple(sorted((o for o in objects if o.key.startswith(prefix)), key=lambda o: o.key))

    def delete(self, keys: Iterable[str]) -> None:
        """The files, and the folders that they leave empty."""
        with self._explained():
            for key in keys:
                path = self._path(key)
                path.unlink(missing_ok=True)
                with suppress(OSError):
                    path.parent.rmdir()

    def sweep(self) -> None:
        """Remove the files that were being written."""
        old = (datetime.now(UTC) - LEFT_OVER).timestamp()
        with self._explained():
            for path in self._root.rglob(f"{PART}*"):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < old:
                        path.unlink()

    def _path(self, key: str) -> Path:
        return self._root / key

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self._root:
            self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True, parents=folder == self._root)
        if folder != self._root:
            self._give(folder)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = self._root.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnreachableError(
                f"the backup repository {self._root}: {error.strerror}: {error.filename}",
                "mount it, or make room",
            ) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
