"""The event file survives crashes, a full disk and a listener that fails."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.drill.contracts import Observation, UndoRecord
from cluster.drill.eventlog import EventLog, read_events
from cluster.drill.events import (
    Converged,
    Event,
    Injecting,
    Note,
    Observed,
    Phase,
    PhaseBegan,
    ReasonSeen,
    Settings,
    Stall,
)
from cluster.errors import InvalidInputError
from tests.unit.drill_samples import BEGAN


class Ticks:
    """A clock that moves one second a reading."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        self.ns += 1_000_000_000
        return self.ns


def log(path: Path, heard: list[Event] | None = None) -> EventLog:
    return EventLog(path, Ticks(), BEGAN, (heard if heard is not None else []).append)


def texts(path: Path) -> list[str]:
    return [event.what.text for event in read_events(path) if isinstance(event.what, Note)]


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    heard: list[Event] = []
    events = log(tmp_path / "events.jsonl", heard)
    happenings = [
        PhaseBegan(phase=Phase.FAULT),
        Injecting(entry="e", fault="f", undo=UndoRecord("k", ("a", "b"), {"pid": "7"})),
        Observed(group="g", began_ns=5, observation=Observation(("a",), 3, protected=False)),
        Settings(when="during", values={"w": "majority"}),
        ReasonSeen(code=1, text="é « \n »"),
        Stall(source="ticker", seconds=1.5),
        Converged(missing="pg1"),
    ]
    for happening in happenings:
        events.add(happening)
    events.close()
    read = read_events(tmp_path / "events.jsonl")
    assert [event.what for event in read] == happenings
    assert list(read) == heard


def test_utc_follows_the_monotonic_clock(tmp_path: Path) -> None:
    events = log(tmp_path / "events.jsonl")
    assert events.add(Note(text="first")).utc == BEGAN + timedelta(seconds=1)
    assert events.add(Note(text="earlier"), ns=500_000_000).utc == BEGAN - timedelta(seconds=0.5)


@pytest.mark.parametrize("kept", range(1, 40))
def test_a_torn_last_line_is_left_out_and_does_not_spoil_the_next(
    tmp_path: Path, kept: int
) -> None:
    path = tmp_path / "events.jsonl"
    events = log(path)
    events.add(Note(text="first"))
    whole = path.read_bytes()
    events.add(Note(text="second"))
    events.close()
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    assert texts(path) == ["first"]
    again = log(path)
    again.add(Note(text="third"))
    again.close()
    assert texts(path) == ["first", "third"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = log(path)
    events.add(Note(text="first"))
    events.add(Note(text="second"))
    events.close()
    path.write_bytes(path.read_bytes().replace(b'"first"', b"first"))
    with pytest.raises(InvalidInputError, match=r"events\.jsonl line 1: Invalid JSON"):
        read_events(path)


def test_what_a_full_disk_refused_follows_when_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    events = log(path)
    events.add(Note(text="before"))
    real = os.write

    def full(file: int, data: bytes) -> int:
        real(file, data[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    events.add(Note(text="lost?"))
    events.add(Note(text="no"))
    assert events.failure
    monkeypatch.undo()
    assert texts(path) == ["before"]
    events.add(Note(text="after"))
    events.close()
    assert texts(path) == ["before", "lost?", "no", "after"]
    assert events.failure is None


def test_a_listener_that_fails_is_dropped(tmp_path: Path) -> None:
    def screen(_: Event) -> None:
        raise ZeroDivisionError

    events = EventLog(tmp_path / "events.jsonl", Ticks(), datetime.now(UTC), screen)
    events.add(Note(text="first"))
    events.add(Note(text="second"))
    events.close()
    assert texts(tmp_path / "events.jsonl") == [
        "first",
        "the live view failed: ZeroDivisionError: ",
        "second",
    ]
