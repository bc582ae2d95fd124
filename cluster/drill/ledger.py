"""The ledger: an append-only file of intents and outcomes, 32 bytes each.

An intent is durable before its operation may be sent; an outcome soon after it is known. A crash
can tear the end of the file, never what was committed before it: the reader keeps the longest
prefix of whole records. A record that is damaged *before* the end is reported, for nothing can be
concluded from such a history.
"""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cluster.errors import InconclusiveError, InvalidInputError

HEADER_BYTES = 512
FORMAT = "skillswap-ops drill ledger"
VERSION = 1
INTENT = 1  # beside the numbers of Outcome
OTHER_REASON = 255  # shared by every reason after the 254th

RECORD = np.dtype(
    [
        ("op", "<i8"),
        ("first", "<i8"),  # intent: due; outcome: sent (0: never); monotonic ns
        ("second", "<i8"),  # intent: written down; outcome: known
        ("kind", "u1"),
        ("worker", "u1"),
        ("reason", "u1"),
        ("retries", "u1"),
        ("check", "<u4"),
    ]
)
WORDS = RECORD.itemsize // 4
CHUNK = 1 << 19  # records; 16 MB at a time keeps a long history's check out of memory

SEQUENCE_BITS = 40
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1

# Multilinear hashing over 32-bit words (Lemire & Kaser, "Strongly universal string hashing is
# fast", 2014) with the fractional bits of pi as its key: 2^-32 for any damage, and it vectorises.
_KEY = np.array(
    [
        0x243F6A8885A308D3,
        0x13198A2E03707344,
        0xA4093822299F31D0,
        0x082EFA98EC4E6C89,
        0x452821E638D01377,
        0xBE5466CF34E90C6C,
        0xC0AC29B7C97C50DD,
        0x3F84D5B5B5470917,
    ],
    dtype="<u8",
)

Records = npt.NDArray[np.void]


class Row(NamedTuple):
    """One record, the checksum aside."""

    op: int
    first: int
    second: int
    kind: int
    worker: int = 0
    reason: int = 0
    retries: int = 0


def op_id(stream: int, sequence: int) -> int:
    """The id of a stream's operation; streams count from 1, so that no id is 0."""
    return stream << SEQUENCE_BITS | sequence


def checksums(records: Records) -> npt.NDArray[np.uint32]:
    """The checksum that each record should carry."""
    words = records.view("<u4").reshape(-1, WORDS)
    total = np.full(len(words), _KEY[0], dtype="<u8")
    for column in range(WORDS - 1):
        total += words[:, column] * _KEY[column + 1]
    return (total >> np.uint64(32)).astype(np.uint32)


def encode(rows: Sequence[Row]) -> bytes:
    """The bytes of some records."""
    records = np.array([(*row, 0) for row in rows], dtype=RECORD)
    records["check"] = checksums(records)
    return records.tobytes()


def header(run: str) -> bytes:
    """The first bytes of a ledger: one line of JSON that says how to read the rest."""
    text = json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "run": run,
            "header_bytes": HEADER_BYTES,
            "fields": RECORD.descr,
            "kinds": "1 intent 2 acked 3 failed 4 unknown 5 unsent",
            "op": f"stream << {SEQUENCE_BITS} | sequence",
        }
    )
    return text.encode().ljust(HEADER_BYTES - 1) + b"\n"


class LedgerWriter:
    """Appends records; `commit` makes everything appended so far durable.

    `append` may be called from any thread, `commit` from one. After a failed commit nothing is
    written any more: what follows a torn record could not be read.
    """

    def __init__(self, path: Path, run: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._lock = threading.Lock()
        self._pending: list[Row] = []
        self._broken = False
        self._write(header(run))
        sync_folder(path.parent)

    def append(self, *rows: Row) -> None:
        """Add records to the next commit."""
        with self._lock:
            self._pending.extend(rows)

    def commit(self) -> int:
        """Write and sync what is pending; how many records that was. Raises OSError."""
        with self._lock:
            rows, self._pending = self._pending, []
        if rows and not self._broken:
            self._write(encode(rows))
        return len(rows)

    def close(self) -> None:
        """Commit and close. Idempotent."""
        if self._file >= 0:
            try:
                self.commit()
            finally:
                os.close(self._file)
                self._file = -1

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError:
            self._broken = True
            raise


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Extent:
    """How much of a ledger is sound.

    `last` is the highest sequence of each stream number; `damage` names a fault *inside* the file
    ("" for none), while `torn_bytes` at its end are what a crash leaves behind.
    """

    records: int
    torn_bytes: int
    last: dict[int, int]
    damage: str = ""


def chunks(path: Path, limit: int | None = None) -> Iterator[Records]:
    """The records from the start, unchecked, at most `limit`; a partial one at the end is left out.

    Raises InvalidInputError where the file is no ledger, InconclusiveError where even its header
    is torn.
    """
    with path.open("rb") as file:
        _read_header(path, file.read(HEADER_BYTES))
        left = (path.stat().st_size - HEADER_BYTES) // RECORD.itemsize
        left = left if limit is None else min(left, limit)
        while left > 0:
            records = np.fromfile(file, dtype=RECORD, count=min(left, CHUNK))
            if not len(records):
                return
            left -= len(records)
            yield records


def _read_header(path: Path, raw: bytes) -> None:
    if len(raw) < HEADER_BYTES:
        raise InconclusiveError(f"{path.name}: torn in its header ({len(raw)} bytes)")
    try:
        head = json.loads(raw)
        known = head["format"], head["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path.name}: not a drill ledger") from error
    if known != (FORMAT, VERSION):
        raise InvalidInputError(f"{path.name}: {known[0]} version {known[1]} is not known here")


def survey(path: Path) -> Extent:
    """Check every record, and find where the sound prefix ends. Raises as `chunks` does."""
    size = path.stat().st_size - HEADER_BYTES
    sound, position, last, damage = 0, 0, dict[int, int](), ""
    for records in chunks(path):
        good = checksums(records) == records["check"]
        whole = len(records) if good.all() else int(np.argmin(good))
        if position > sound:  # the prefix has ended already
            whole = 0
        for stream, own in by_stream(records[:whole]):
            last[stream] = max(last.get(stream, -1), int(own["op"].max()) & SEQUENCE_MASK)
        sound += whole
        if good[whole:].any():  # something whole follows what is not
            damage = f"record {sound} is damaged"
        position += len(records)
    return Extent(sound, size - sound * RECORD.itemsize, last, damage)


def by_stream(records: Records) -> Iterator[tuple[int, Records]]:
    """The records of each stream number, in order; without a copy where there is but one."""
    numbers = records["op"] >> SEQUENCE_BITS
    if len(records) and numbers.min() == numbers.max():
        yield int(numbers[0]), records
        return
    for number in np.unique(numbers).tolist():
        yield number, records[numbers == number]
