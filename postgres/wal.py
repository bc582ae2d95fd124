"""Names of WAL segments, and places in the WAL (LSN) as integers: bytes since its beginning.

A name is timeline, log and segment, eight hexadecimal digits each.

https://www.postgresql.org/docs/15/wal-internals.html, with segments of 16 MB.
"""

import re
from collections.abc import Iterable

SEGMENT = re.compile(r"^[0-9A-F]{24}$")
SEGMENTS_A_LOG = 0x100  # of 16 MB each
SEGMENT_BYTES = 16 * 1024**2


def segments(names: Iterable[str]) -> tuple[str, ...]:
    """Those that are whole segments: no history, backup or partial file, in order."""
    return tuple(sorted(name for name in names if SEGMENT.match(name)))


def following(first: str, last: str) -> tuple[str, ...]:
    """Every segment from `first` to `last` on `last`'s timeline, both counted."""
    timeline = last[:8]
    return tuple(
        f"{timeline}{number // SEGMENTS_A_LOG:08X}{number % SEGMENTS_A_LOG:08X}"
        for number in range(_number(first), _number(last) + 1)
    )


def missing_between(first: str, last: str, there: Iterable[str]) -> tuple[str, ...]:
    """The segments from `first` to `last` that are not among those that are there."""
    known = set(there)
    return tuple(name for name in following(first, last) if name not in known)


def lsn(text: str) -> int:
    """`16/B374D848` as bytes. Raises ValueError where it is none."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(place: int) -> str:
    """Bytes as PostgreSQL writes them."""
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"


def segment_at(timeline: int, place: int) -> str:
    """The name of the segment that holds this byte."""
    number = place // SEGMENT_BYTES
    return f"{timeline:08X}{number // SEGMENTS_A_LOG:08X}{number % SEGMENTS_A_LOG:08X}"


def begins_at(name: str) -> int:
    """Where a segment begins."""
    return _number(name) * SEGMENT_BYTES


def timeline_of(name: str) -> int:
    """The timeline of a segment."""
    return int(name[:8], 16)


def _number(name: str) -> int:
    return int(name[8:16], 16) * SEGMENTS_A_LOG + int(name[16:24], 16)
