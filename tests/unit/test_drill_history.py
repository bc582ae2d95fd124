"""Folding a ledger into one row an operation."""

from pathlib import Path

import pytest

from cluster.drill.history import Ledger, read_ledger
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
from cluster.drill.outcome import Outcome


def fold(tmp_path: Path, *rows: Row) -> Ledger:
    path = tmp_path / "ledger.bin"
    writer = LedgerWriter(path, "0123abcd")
    writer.append(*rows)
    writer.close()
    return read_ledger(path)


def intent(sequence: int, stream: int = 1) -> Row:
    return Row(op_id(stream, sequence), 1_000 + sequence, 900, INTENT)


def outcome(sequence: int, kind: int = Outcome.ACKED, stream: int = 1) -> Row:
    return Row(op_id(stream, sequence), 2_000 + sequence, 3_000 + sequence, kind, 1, 7, 4)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_streams_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("cluster.drill.ledger.CHUNK", chunk)
    rows = [intent(0), intent(0, 2), intent(1), outcome(1), outcome(0, Outcome.FAILED, 2)]
    ledger = fold(tmp_path, *rows, intent(2), outcome(0, Outcome.UNSENT))
    one, two = ledger.streams[1], ledger.streams[2]
    assert ledger.damage == ""
    assert one.outcome.tolist() == [Outcome.UNSENT, Outcome.ACKED, Outcome.UNKNOWN]
    assert one.due.tolist() == [1_000, 1_001, 1_002]
    assert one.sent.tolist() == [2_000, 2_001, 0]
    assert one.done.tolist() == [3_000, 3_001, 0]
    assert one.reason.tolist() == [7, 7, 0]
    assert one.retries.tolist() == [4, 4, 0]
    assert two.outcome.tolist() == [Outcome.FAILED]


def test_an_intent_alone_is_unknown(tmp_path: Path) -> None:
    ledger = fold(tmp_path, intent(0))
    assert ledger.streams[1].outcome.tolist() == [Outcome.UNKNOWN]


def test_an_empty_ledger_has_no_streams(tmp_path: Path) -> None:
    assert fold(tmp_path) == Ledger({}, "", 0)


@pytest.mark.parametrize(
    ("rows", "damage"),
    [
        ([intent(0), intent(0)], "stream 1: an operation is recorded twice"),
        ([intent(0), outcome(0), outcome(0)], "stream 1: an operation is recorded twice"),
        (
            [intent(0), outcome(0), outcome(0, Outcome.FAILED)],
            "stream 1: an operation is recorded twice",
        ),
        ([intent(0), outcome(1)], "stream 1: an operation without its intent"),
        ([intent(1), intent(1)], "stream 1: an operation is recorded twice"),
        ([intent(1), outcome(1)], "stream 1: an operation without its intent"),
        ([intent(0), outcome(0, 9)], "stream 1: records of a kind that is not known"),
        ([intent(5)], "stream 1 has an operation 5 in 1 records"),
        ([intent(0, 0)], "stream 0 has an operation 0 in 1 records"),
    ],
)
def test_what_no_run_can_write_is_damage(tmp_path: Path, rows: list[Row], damage: str) -> None:
    assert fold(tmp_path, *rows).damage == damage
