"""The undo journal: on disk before the fault acts, there until it is undone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.drill.contracts import UndoRecord
from cluster.drill.journal import FOLDER, Entry, Journal, heal
from cluster.errors import FaultNotUndoneError, RefusedError, UnreachableError


def entry(number: int, run: str = "run") -> Entry:
    return Entry(
        id=f"{run}-{number}",
        run=run,
        fault=f"SIGKILL a{number}",
        opened=f"2026-03-01T12:00:0{number}.000000+00:00",
        undo=UndoRecord("start", (f"a{number}",), {"pid": "7"}),
    )


class Crashed(BaseException):
    """The process died here."""


def test_an_open_entry_is_found_by_the_next_process(tmp_path: Path) -> None:
    Journal(tmp_path).open(entry(1))
    assert Journal(tmp_path).open_entries() == (entry(1),)
    with pytest.raises(RefusedError, match="still in place: SIGKILL a1") as refused:
        Journal(tmp_path).refuse_if_open()
    assert "drill heal" in refused.value.hint


def test_a_closed_entry_is_gone_and_may_be_closed_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.close("never opened")
    journal.open(entry(1))
    journal.close(entry(1).id)
    journal.close(entry(1).id)
    assert journal.open_entries() == ()
    journal.refuse_if_open()


@pytest.mark.parametrize("step", range(12))
def test_a_crash_at_any_step_leaves_nothing_or_the_whole_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Every system call that changes the disk is where the process may die."""
    calls = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Crashed
            return real(*args, **options)

        return call

    opened = False
    with monkeypatch.context() as patch:
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "mkdir"), (Path, "open")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            Journal(tmp_path).open(entry(1))
            opened = True
        except Crashed:
            pass
    entries = Journal(tmp_path).open_entries()
    assert entries in [(), (entry(1),)]
    if opened:
        assert entries == (entry(1),)
    Journal(tmp_path).open(entry(2))  # what was torn is in nobody's way
    assert entry(2) in Journal(tmp_path).open_entries()
    assert not list((tmp_path / FOLDER).glob("*.part"))


def test_the_last_step_of_a_crash_test_is_a_whole_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above covers every step."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(file) or real(file))
    Journal(tmp_path).open(entry(1))
    assert len(synced) == 3  # the folder above, the file, the folder


def test_faults_are_healed_the_latest_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    healed: list[UndoRecord] = []
    begun: list[Entry] = []
    for number in (1, 2, 3):
        journal.open(entry(number))
    results = heal(journal, {"start": healed.append}, begun.append)
    assert [record.targets for record in healed] == [("a3",), ("a2",), ("a1",)]
    assert begun == [entry(3), entry(2), entry(1)]
    assert [result.error for result in results] == ["", "", ""]
    assert journal.open_entries() == ()


def test_one_run_leaves_the_others_faults_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open(entry(1, "one"))
    journal.open(entry(2, "two"))
    heal(journal, {"start": lambda _: None}, run="two")
    assert journal.open_entries() == (entry(1, "one"),)


def test_a_failed_undo_stays_open_and_hinders_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in (1, 2, 3):
        journal.open(entry(number))

    def start(record: UndoRecord) -> None:
        if record.targets == ("a3",):
            raise UnreachableError("a3 does not start")
        if record.targets == ("a2",):
            raise KeyError("pid")

    results = heal(journal, {"start": start})
    assert [result.error for result in results] == ["a3 does not start", "KeyError: 'pid'", ""]
    assert journal.open_entries() == (entry(2), entry(3))
    heal(journal, {"start": lambda _: None})
    assert journal.open_entries() == ()


def test_a_record_that_nobody_knows_stays_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open(entry(1))
    (result,) = heal(journal, {})
    assert result.error == "nothing here knows how to undo start"
    assert journal.open_entries() == (entry(1),)


def test_an_entry_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open(entry(1))
    (path,) = (tmp_path / FOLDER).glob("*.json")
    path.write_text("{}")
    with pytest.raises(FaultNotUndoneError, match="cannot be read"):
        journal.refuse_if_open()
