"""The ledger file: what was committed is read again, what was torn is cut, never misread."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.history import read_ledger
from cluster.drill.ledger import (
    HEADER_BYTES,
    INTENT,
    RECORD,
    LedgerWriter,
    Row,
    chunks,
    encode,
    header,
    op_id,
    survey,
)
from cluster.drill.outcome import Outcome
from cluster.errors import InconclusiveError, InvalidInputError

ROWS = [
    Row(op_id(1, 0), 1_000, 900, INTENT),
    Row(op_id(2, 0), 1_500, 900, INTENT),
    Row(op_id(1, 1), 2_000, 900, INTENT),
    Row(op_id(1, 0), 1_010, 1_090, Outcome.ACKED, 3, 0, 2),
    Row(op_id(2, 0), 0, 9_000, Outcome.UNSENT, 0, 1),
    Row(op_id(1, 1), 2_010, 7_000, Outcome.FAILED, 255, 254, 0),
]


def written(path: Path, rows: list[Row]) -> bytes:
    writer = LedgerWriter(path, "0123abcd")
    writer.append(*rows)
    assert writer.commit() == len(rows)
    writer.close()
    return path.read_bytes()


def rows(path: Path, limit: int | None = None) -> list[Row]:
    return [Row(*record.tolist()[:-1]) for part in chunks(path, limit) for record in part]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    written(path, ROWS)
    assert rows(path) == ROWS
    extent = survey(path)
    assert (extent.records, extent.torn_bytes, extent.damage) == (6, 0, "")
    assert extent.last == {1: 1, 2: 0}


def test_the_header_says_how_to_read_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    first = written(path, ROWS).split(b"\n", 1)[0]
    head = json.loads(first)
    assert head["run"] == "0123abcd"
    assert len(first) + 1 == head["header_bytes"] == HEADER_BYTES
    assert np.dtype([tuple(field) for field in head["fields"]]) == RECORD
    assert RECORD.itemsize == 32


def test_a_tail_torn_at_any_byte_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    whole = written(path, ROWS)
    for size in range(HEADER_BYTES, len(whole)):
        path.write_bytes(whole[:size])
        kept, torn = divmod(size - HEADER_BYTES, RECORD.itemsize)
        extent = survey(path)
        assert (extent.records, extent.torn_bytes, extent.damage) == (kept, torn, "")
        assert rows(path, extent.records) == ROWS[:kept]


def test_a_tail_of_zeros_or_half_a_record_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    whole = written(path, ROWS)
    for kept in range(32):  # the last record's first bytes reached the disk, the rest are zeros
        path.write_bytes(whole[: len(whole) - 32 + kept] + bytes(32 - kept))
        extent = survey(path)
        if path.read_bytes() == whole:
            continue
        assert (extent.records, extent.torn_bytes, extent.damage) == (5, 32, "")
    path.write_bytes(whole + bytes(4096))
    assert survey(path).records == 6
    assert survey(path).torn_bytes == 4096


def test_any_flipped_bit_before_the_end_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    whole = written(path, ROWS)
    for byte in range(HEADER_BYTES, HEADER_BYTES + 32):
        for bit in range(8):
            broken = bytearray(whole)
            broken[byte] ^= 1 << bit
            path.write_bytes(broken)
            assert survey(path).damage == "record 0 is damaged"
            assert read_ledger(path).damage == "record 0 is damaged"


def test_damage_is_found_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.drill.ledger.CHUNK", 2)
    path = tmp_path / "ledger.bin"
    whole = written(path, ROWS)
    assert survey(path).last == {1: 1, 2: 0}
    for number in range(6):
        broken = bytearray(whole)
        broken[HEADER_BYTES + 32 * number + 5] ^= 1
        path.write_bytes(broken)
        extent = survey(path)
        assert extent.records == number
        assert extent.damage == ("" if number == 5 else f"record {number} is damaged")


@pytest.mark.parametrize("size", [0, 1, 100, HEADER_BYTES - 1])
def test_a_torn_header_is_inconclusive(tmp_path: Path, size: int) -> None:
    path = tmp_path / "ledger.bin"
    path.write_bytes(header("0123abcd")[:size])
    with pytest.raises(InconclusiveError, match="torn in its header"):
        survey(path)


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 600,
        b"[1, 2]".ljust(600),
        b"{}".ljust(600),
        header("r").replace(b'"version": 1', b'"version": 9'),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.bin"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        survey(path)


def test_a_ledger_is_never_overwritten(tmp_path: Path) -> None:
    written(tmp_path / "ledger.bin", ROWS)
    with pytest.raises(FileExistsError):
        LedgerWriter(tmp_path / "ledger.bin", "0123abcd")


@pytest.mark.parametrize("size", [32, 40])
def test_nothing_follows_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "ledger.bin"
    writer = LedgerWriter(path, "0123abcd")
    writer.append(*ROWS[:3])
    writer.commit()
    real = os.write

    def full(file: int, data: bytes) -> int:
        real(file, bytes(data[:size]))
        raise OSError(errno.ENOSPC, "No space left on device")

    writer.append(*ROWS[3:])
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.commit()
    monkeypatch.undo()
    writer.append(*ROWS)
    writer.close()
    assert rows(path, survey(path).records) == ROWS[:4]
    assert survey(path).damage == ""


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, bytes(data[:7])))
    written(tmp_path / "ledger.bin", ROWS)
    assert rows(tmp_path / "ledger.bin") == ROWS


WRITER = """
import sys
from pathlib import Path
from cluster.drill.outcome import Outcome
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
writer = LedgerWriter(Path(sys.argv[1]), "0123abcd")
n = 0
while True:
    ids = [op_id(1, n + k) for k in range(50)]
    writer.append(*(Row(op, 10 + op, 10, INTENT) for op in ids))
    writer.commit()
    writer.append(*(Row(op, 11 + op, 12 + op, Outcome.ACKED) for op in ids))
    writer.commit()
    n += 50
    print(n, flush=True)
"""


def test_kill_9_while_writing_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / f"{number}.bin"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        for _ in range(5 + 7 * number):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        reported = [line for line in process.stdout.read().splitlines() if line]
        process.wait(10)
        process.stdout.close()
        committed = int(reported[-1]) if reported else 50 * (5 + 7 * number)
        ledger = read_ledger(path)
        assert ledger.damage == ""
        stream = ledger.streams[1]
        assert len(stream) >= committed
        assert set(stream.outcome[:committed].tolist()) == {int(Outcome.ACKED)}
        assert set(stream.outcome[committed:].tolist()) <= {Outcome.ACKED, Outcome.UNKNOWN}


def test_each_record_carries_its_own_checksum() -> None:
    together, apart = encode(ROWS), b"".join(encode([row]) for row in ROWS)
    assert together == apart
