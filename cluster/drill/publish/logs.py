"""What servers wrote to their logs during a run: each log's place is remembered at the start.

A supervisor rotates a log by renaming it (`name.log` becomes `name.log.1`), so a place is an inode
and an offset, and what was written since then may lie in several files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from cluster.drill.publish.mask import Mask
from cluster.files import write_atomic
from cluster.layout import Layout
from cluster.server import Server

FOLDER = "logs"
INDEX = "index.json"
BOUND = 2 * 1024 * 1024  # bytes kept of a log
BEFORE_FAULT = 4  # one part in so many of that is from before the fault


@dataclass(frozen=True)
class Place:
    """Where a log ended at some moment; `inode` None where there was no file."""

    inode: int | None
    offset: int

    @classmethod
    def end_of(cls, path: Path) -> "Place":
        """Where it ends now."""
        try:
            found = path.stat()
        except OSError:
            return cls(None, 0)
        return cls(found.st_ino, found.st_size)


@dataclass(frozen=True)
class Excerpt:
    """What was kept of a log: bytes written during the run, and cut before and after.

    `fault` is the offset in the kept file at which the fault came, None where that is not known.
    """

    name: str
    written: int
    cut_before: int = 0
    cut_after: int = 0
    fault: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Window:
    """Which bytes of what was written are kept."""

    start: int
    end: int


def server_logs(layout: Layout, servers: Iterable[Server]) -> dict[str, Path]:
    """Where the servers print, by their names."""
    return {server.name: layout.log(server.name) for server in servers}


class LogWatch:
    """The logs of a run: mark their ends now and at the fault, keep what came since."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        self._logs = dict(logs)
        self._began: dict[str, Place] = {}
        self._fault: dict[str, Place] = {}

    def began(self) -> None:
        """The run begins."""
        self._began = {name: Place.end_of(path) for name, path in self._logs.items()}

    def fault(self) -> None:
        """The fault comes; only the first counts."""
        if not self._fault:
            self._fault = {name: Place.end_of(path) for name, path in self._logs.items()}

    def keep(self, folder: Path, mask: Mask) -> None:
        """Copy what was written since the run began, masked; raises OSError."""
        target = folder / FOLDER
        target.mkdir(exist_ok=True)
        kept = [
            self._keep(name, path, target, mask)
            for name, path in sorted(self._logs.items())
            if name in self._began
        ]
        text = TypeAdapter(list[Excerpt]).dump_json(kept, indent=1).decode()
        write_atomic(target / INDEX, text + "\n", mode=0o640)

    def _keep(self, name: str, path: Path, target: Path, mask: Mask) -> Excerpt:
        try:
            data, fault, note = _written(path, self._began[name], self._fault.get(name))
        except OSError as error:
            return Excerpt(name, 0, note=f"not read: {error.strerror or error}")
        window = choose(len(data), fault)
        window = Window(_line_start(data, window.start), _line_end(data, window.end))
        split = window.start if fault is None else min(max(fault, window.start), window.end)
        before = mask.data(data[window.start : split])
        after = mask.data(data[split : window.end])
        cut_before, cut_after = window.start, len(data) - window.end
        head = _cut(cut_before, "before")
        text = head + before + after + _cut(cut_after, "after")
        if text:
            (target / f"{name}.log").write_bytes(text)
        return Excerpt(
            name,
            len(data),
            cut_before,
            cut_after,
            None if fault is None else len(head) + len(before),
            note,
        )


def excerpts(folder: Path) -> tuple[Excerpt, ...]:
    """What was kept of the logs of a run; nothing where nothing was."""
    try:
        text = (folder / FOLDER / INDEX).read_bytes()
    except FileNotFoundError:
        return ()
    return tuple(TypeAdapter(list[Excerpt]).validate_json(text))


def choose(written: int, fault: int | None, bound: int = BOUND) -> Window:
    """Which `bound` bytes of what was written are kept: those around the fault, else the last."""
    if written <= bound:
        return Window(0, written)
    wanted = written if fault is None else fault - bound // BEFORE_FAULT
    start = min(max(0, wanted), written - bound)
    return Window(start, start + bound)


def _written(path: Path, since: Place, fault: Place | None) -> tuple[bytes, int | None, str]:
    """What was written since a place, where in it the fault came, and what is wrong with it."""
    files = _rotated(path)
    inodes = [file.stat().st_ino for file in files]
    note = ""
    if since.inode is None:
        first, offset = len(files) - 1, 0
    elif since.inode in inodes:
        first, offset = inodes.index(since.inode), since.offset
        if files[first].stat().st_size < offset:
            offset, note = 0, "was truncated during the run: its beginning is lost"
    else:
        first, offset = len(files) - 1, 0
        note = "was rotated away during the run: its beginning is lost"
    pieces, at = b"", None
    for number in range(first, -1, -1):
        start = offset if number == first else 0
        if fault and fault.inode == inodes[number] and fault.offset >= start:
            at = len(pieces) + fault.offset - start
        pieces += _read_from(files[number], start)
    return pieces, None if at is None or at > len(pieces) else at, note


def _read_from(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def _rotated(path: Path) -> list[Path]:
    """The log and its older parts, the newest first."""
    older = [
        file
        for file in path.parent.glob(f"{path.name}.*")
        if file.name[len(path.name) + 1 :].isdigit()
    ]
    older.sort(key=lambda file: int(file.suffix[1:]))
    return [path, *older] if path.exists() else older


def _line_start(data: bytes, at: int) -> int:
    """The beginning of the first whole line from there."""
    if at == 0 or data[at - 1 : at] == b"\n":
        return at
    found = data.find(b"\n", at)
    return at if found < 0 else found + 1


def _line_end(data: bytes, at: int) -> int:
    """The end of the last whole line up to there."""
    if at >= len(data) or data[at - 1 : at] == b"\n":
        return at
    found = data.rfind(b"\n", 0, at)
    return at if found < 0 else found + 1


def _cut(size: int, where: str) -> bytes:
    return f"[{size:,} bytes {where} this were cut]\n".encode() if size else b""
