"""The book of changing commands: appended to and never rewritten, each line chained to the last.

A line is a JSON object. Its `hash` is of the line itself and of the hash before it, so that a line
that is changed, removed or put in breaks the chain where it stands. What the chain cannot show is
that its end was cut off: whoever wants to know that keeps the head (`audit verify` prints it)
somewhere else.
"""

import fcntl
import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

GENESIS = "0" * 64


class Entry(BaseModel):
    """A line. `begun` says who, what and with which arguments; `ended` what became of number `of`.

    `torn` vouches for a line before it that a loss of power cut off: it is that line's hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    event: Literal["begun", "ended"]
    command: str
    arguments: tuple[str, ...] = ()
    who: str = ""
    host: str = ""
    pid: int = 0
    of: int = 0
    result: str = ""
    seconds: float | None = None
    torn: str = ""
    previous: str = GENESIS
    hash: str = ""

    def sealed(self) -> "Entry":
        """The same with its hash."""
        return self.model_copy(update={"hash": self.digest()})

    def digest(self) -> str:
        """The hash that it should have."""
        text = self.model_copy(update={"hash": ""}).model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Checked:
    """A book: its whole lines, the last one's hash, and the first break (line from 1, why)."""

    entries: tuple[Entry, ...]
    head: str
    broken: tuple[int, str] | None = None


def check(text: str) -> Checked:
    """Follow the chain. Pure. Lines behind a break are not looked at."""
    entries: list[Entry] = []
    head = GENESIS
    torn: str | None = None
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        entry = _parse(line)
        if entry is None and torn is None:
            torn = line
            continue
        at = number if torn is None else number - 1
        if reason := _break(entry, len(entries) + 1, head, torn):
            return Checked(tuple(entries), head, (at, reason))
        if entry:
            entries.append(entry)
            head, torn = entry.hash, None
    if torn is not None:
        cut = "was changed: it is no entry" if text.endswith("\n") else "is cut off"
        return Checked(tuple(entries), head, (text.count("\n") + (text[-1] != "\n"), cut))
    return Checked(tuple(entries), head)


def _break(entry: Entry | None, number: int, head: str, torn: str | None) -> str:
    if entry is None or entry.torn != ("" if torn is None else _hash(torn)):
        return "was changed: it is no entry, and none vouches for it"
    if entry.digest() != entry.hash:
        return "was changed after it was written"
    if entry.previous != head or entry.number != number:
        return "does not follow the line before it: one was changed, removed or put in"
    return ""


def append(path: Path, entry: Entry, *, create: bool = True) -> Entry | None:
    """Add an entry to the book (mode 0600), with its number and its links; the one as written.

    The disk has it when this returns. None where there is no book and `create` is false. Raises
    OSError where it cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileNotFoundError:
        if create:
            raise
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        last, torn = _last(handle)
        number, previous = (last.number + 1, last.hash) if last else (1, GENESIS)
        links = {"number": number, "torn": torn, "previous": previous}
        line = entry.model_copy(update=links).sealed()
        before = b"" if _ends_a_line(handle) else b"\n"
        os.write(handle, before + line.model_dump_json().encode() + b"\n")
        os.fsync(handle)
        return line
    finally:
        os.close(handle)


def read(path: Path) -> Checked:
    """The book and its chain; an empty one where there is none."""
    try:
        return check(path.read_text("utf-8", "surrogateescape"))
    except FileNotFoundError:
        return Checked((), GENESIS)


def first(path: Path) -> Entry | None:
    """The book's first entry, from when the cluster was made; None where there is none."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as book:
            return _parse(book.readline().removesuffix("\n"))
    except OSError:
        return None


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def _last(handle: int) -> tuple[Entry | None, str]:
    """The last whole entry, and the hash of what was cut off behind it ("": nothing was)."""
    size = os.fstat(handle).st_size
    lines = os.pread(handle, size, 0).decode("utf-8", "surrogateescape").split("\n")
    cut = lines.pop()
    whole = _parse(cut) if cut else None
    found = whole or next((entry for line in reversed(lines) if (entry := _parse(line))), None)
    return found, _hash(cut) if cut and not whole else ""


def _ends_a_line(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return not size or os.pread(handle, 1, size - 1) == b"\n"


def _parse(line: str) -> Entry | None:
    """The entry, if the line is exactly what is written for it."""
    try:
        entry = Entry.model_validate_json(line.encode("utf-8", "surrogateescape"))
    except ValidationError:
        return None
    return entry if entry.model_dump_json() == line else None


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8", "surrogateescape")).hexdigest()
