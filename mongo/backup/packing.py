"""A folder as one stream, in tar's format, and back."""

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from mongo.backup.sealing import DamagedError

PIECE = 1 << 20
# What a copy must not bring along, and what says nothing that a restore needs.
LEFT_OUT = {"mongod.lock", "diagnostic.data", "WiredTiger.lock", "_tmp", "rollback"}
SPARE = "WiredTigerPreplog."  # room for a journal to come, of zeros
PATTERNS = (*sorted(LEFT_OUT), f"{SPARE}*")  # the same, as tar takes it


def files(folder: Path) -> tuple[Path, ...]:
    """The files to copy, relative to the folder, sorted."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        here = Path(root).relative_to(folder)
        found += [here / name for name in sorted(names) if _wanted(name)]
    return tuple(found)


def _wanted(name: str) -> bool:
    return name not in LEFT_OUT and not name.startswith(SPARE)


def copy(source: Path, target: Path) -> int:
    """Copy the files of a data folder; their bytes. On some file systems blocks are shared."""
    total = 0
    for name in files(source):
        with suppress(FileNotFoundError):  # a journal file that was just recycled
            target.joinpath(name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            total += _copy_file(source / name, target / name)
    return total


def _copy_file(source: Path, target: Path) -> int:
    with source.open("rb") as reader, target.open("xb") as writer:
        left = size = os.fstat(reader.fileno()).st_size
        while left:
            done = _copy_some(reader.fileno(), writer.fileno(), left)
            if not done:
                break
            left -= done
        return size - left


def _copy_some(reader: int, writer: int, count: int) -> int:
    try:
        return os.copy_file_range(reader, writer, min(count, 1 << 30))
    except OSError:  # not between these two file systems
        return os.sendfile(writer, reader, None, min(count, 1 << 30))


def pack(folder: Path) -> Iterator[bytes]:
    """The folder's files as the pieces of a tar archive."""
    for name in files(folder):
        path = folder / name
        info = tarfile.TarInfo(name.as_posix())
        info.size, info.mode = path.stat().st_size, 0o600
        yield info.tobuf(tarfile.PAX_FORMAT)
        left = info.size
        with path.open("rb") as file:
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise OSError(f"{path} became shorter while it was read")
                left -= len(piece)
                yield piece
        yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def unpack(pieces: Iterable[bytes], folder: Path) -> int:
    """What `pack` made, into an empty folder; the files' bytes. Raises DamagedError."""
    reader = _Reader(iter(pieces))
    total = 0
    try:
        with tarfile.open(fileobj=reader, mode="r|", bufsize=PIECE) as archive:
            for member in archive:
                total += _unpack_file(archive, member, folder)
    except tarfile.TarError as error:
        raise DamagedError(f"it does not unpack: {error}") from error
    reader.drain()  # the end is what proves the whole
    return total


def _unpack_file(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> int:
    name = PurePosixPath(member.name)
    source = archive.extractfile(member)
    if source is None or name.is_absolute() or ".." in name.parts:
        raise DamagedError(f"it holds {member.name}, which no data folder does")
    path = folder / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        while piece := source.read(PIECE):
            if piece.count(0) < len(piece):
                file.write(piece)
            else:  # most of a journal is room that it has yet to fill
                file.seek(len(piece), os.SEEK_CUR)
        file.truncate(member.size)
    return member.size


class _Reader(io.RawIOBase):
    """The pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._waiting = pieces, bytearray()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while size < 0 or len(self._waiting) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._waiting += piece
        size = len(self._waiting) if size < 0 else size
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken

    def drain(self) -> None:
        """Read the rest."""
        self._waiting.clear()
        for _ in self._pieces:
            pass
