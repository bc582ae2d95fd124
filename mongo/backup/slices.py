"""The archive of an oplog: slices of it, each with where the one before it ended.

A slice holds every entry after `prev` up to and including `last`. Both are in its name, so that a
list of names proves that nothing is missing, or shows where something is.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from mongo.backup import sealing, stamps
from mongo.backup.sealing import DamagedError, Sealer
from mongo.backup.stamps import TEXT_LENGTH, Stamp
from mongo.backup.storage import Object, Storage

ROOT = "oplog"
GAP = "gap-"
SIZE = 4  # bytes of a BSON document's length


@dataclass(frozen=True)
class Position:
    """An entry of an oplog: when, and the hash of its bytes, which tells it from another then.

    An empty hash is any entry's: of a place where nothing was read.
    """

    last: Stamp
    hash: str = ""


@dataclass(frozen=True)
class Slice:
    """A slice as its name tells it; `size` is in bytes, as stored."""

    history: int
    replica_set: str
    prev: Stamp
    last: Stamp
    size: int = 0

    @property
    def key(self) -> str:
        """Where it is kept."""
        return f"{folder(self.history, self.replica_set)}{self.prev.text}-{self.last.text}"


@dataclass(frozen=True)
class Gap:
    """A place where the archive knows that it lacks entries."""

    history: int
    replica_set: str
    after: Stamp
    until: Stamp


@dataclass(frozen=True)
class Archived:
    """What is kept of one set's oplog in one history."""

    slices: tuple[Slice, ...]
    gaps: tuple[Gap, ...]


def folder(history: int, replica_set: str) -> str:
    """The keys of a set's slices begin so."""
    return f"{ROOT}/{history:04d}/{replica_set}/"


def hash_of(entry: bytes) -> str:
    """What tells an entry from another one of the same time."""
    return hashlib.sha256(entry).hexdigest()[:32]


def parse(history: int, replica_set: str, objects: Iterable[Object]) -> Archived:
    """What a list of names says; foreign names are passed over."""
    found, gaps = [], []
    for each in objects:
        name = each.key.rpartition("/")[2]
        span = _span(name.removeprefix(GAP).removesuffix(".json"))
        if span is None:
            continue
        if name.startswith(GAP):
            gaps.append(Gap(history, replica_set, *span))
        else:
            found.append(Slice(history, replica_set, *span, each.size))
    order = sorted(found, key=lambda one: (one.last, one.prev))
    return Archived(tuple(order), tuple(gaps))


def _span(name: str) -> tuple[Stamp, Stamp] | None:
    prev, dash, last = name.partition("-")
    if not dash or len(prev) != TEXT_LENGTH:
        return None
    try:
        return stamps.parse(prev), stamps.parse(last)
    except ValueError:
        return None


def listed(storage: Storage, history: int, replica_set: str) -> Archived:
    """What is kept of a set's oplog in a history."""
    return parse(history, replica_set, storage.list(folder(history, replica_set)))


# What a slice holds


@dataclass(frozen=True)
class Content:
    """A slice as it is to be written; `entries` are whole BSON documents."""

    made: Slice
    set_id: str
    prev_hash: str
    last_hash: str
    entries: Sequence[bytes]


def encode(sealer: Sealer, content: Content) -> io.BytesIO:
    """The slice's bytes."""
    made = content.made
    header: dict[str, object] = {
        "kind": "oplog slice",
        "history": made.history,
        "set": made.replica_set,
        "set_id": content.set_id,
        "prev": made.prev.text,
        "last": made.last.text,
        "prev_hash": content.prev_hash,
        "last_hash": content.last_hash,
        "count": len(content.entries),
    }
    into = io.BytesIO()
    sealing.write(sealer, header, content.entries, into)
    return into


def decode(sealer: Sealer, made: Slice, source: BinaryIO) -> Iterator[bytes]:
    """The slice's entries, one by one. Raises DamagedError, at the end at the latest."""
    header, pieces = sealing.read(sealer, source)
    named = (header.get("set"), header.get("prev"), header.get("last"), header.get("history"))
    if named != (made.replica_set, made.prev.text, made.last.text, made.history):
        raise DamagedError("it is another slice than its name says")
    count = 0
    for entry in _documents(pieces):
        count += 1
        yield entry
    if count != header.get("count"):
        raise DamagedError(f"it holds {count} entries, not {header.get('count')}")


def _documents(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        at = 0
        while len(waiting) - at >= SIZE:
            size = int.from_bytes(waiting[at : at + SIZE], "little")
            if size <= SIZE:
                raise DamagedError("it holds something that is no document")
            if len(waiting) - at < size:
                break
            yield bytes(waiting[at : at + size])
            at += size
        del waiting[:at]
    if waiting:
        raise DamagedError("its last entry is cut off")


def end_of(storage: Storage, made: Slice) -> tuple[Position, str]:
    """Where a slice ends, and the set that it is of. Raises DamagedError."""
    with storage.open(made.key) as source:
        header = sealing.read_header(source)
    return Position(made.last, _text(header, "last_hash")), _text(header, "set_id")


def _text(header: Mapping[str, object], name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str):
        raise DamagedError(f"its header has no {name}")
    return value


# How far they reach


@dataclass(frozen=True)
class Piece:
    """What is used of a slice: its entries after `after`, up to and including `upto`."""

    slice: Slice
    after: Stamp
    upto: Stamp


@dataclass(frozen=True)
class Reach:
    """How far the archive goes on from a place; `missing`: what begins after a gap there."""

    last: Stamp
    pieces: tuple[Piece, ...]
    missing: Stamp | None = None


def reach(slices: Iterable[Slice], start: Stamp, limit: Stamp | None = None) -> Reach:
    """From `start` as far as no entry is missing, and no further than `limit` (inclusive)."""
    at = start
    pieces: list[Piece] = []
    for one in sorted(slices, key=lambda each: (each.last, each.prev)):
        if limit is not None and at >= limit:
            break
        if one.last <= at:
            continue
        if one.prev > at:
            return Reach(at, tuple(pieces), one.prev)
        upto = one.last if limit is None else min(one.last, limit)
        pieces.append(Piece(one, at, upto))
        at = upto
    return Reach(at, tuple(pieces))
