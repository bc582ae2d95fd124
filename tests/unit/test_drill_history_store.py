"""The history of runs: filled from the folders, which are the truth."""

import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.drill.contracts import Promise
from cluster.drill.evidence import EVENTS, VERDICT
from cluster.drill.outcome import Outcome
from cluster.drill.report import RunSummary, write_summary
from cluster.drill.runner import conclude
from cluster.drill.runs_store import MIGRATIONS, STORE, UNDER_WAY_SECONDS, RunsStore, Synced
from cluster.drill.verdict import Conclusion
from cluster.errors import OpsError
from tests.unit.drill_samples import BEGAN, MadeUp


def never(folder: Path) -> RunSummary:
    raise AssertionError(f"{folder} was judged again")


def folder_of(drills: Path, number: int = 0, drill: str = "mongo-primary-kill") -> Path:
    began = BEGAN + timedelta(days=number)
    return drills / "runs" / f"{began:%Y%m%dT%H%M%SZ}-{drill}-0123abcd"


def write(drills: Path, number: int = 0, made: MadeUp | None = None) -> RunSummary:
    """A run that was judged, as the runner leaves it."""
    folder = (made or MadeUp()).write(folder_of(drills, number))
    summary = replace(conclude(folder), began=BEGAN + timedelta(days=number))
    write_summary(summary)
    return summary


def test_a_run_is_kept_as_its_report_says(tmp_path: Path) -> None:
    summary = write(tmp_path)
    with RunsStore(tmp_path) as store:
        assert store.sync(never) == Synced(1, ())
        [kept] = store.runs()
    assert kept.folder == summary.folder.name
    assert (kept.run, kept.drill, kept.began) == ("0123abcd", "mongo-primary-kill", BEGAN)
    assert kept.began.tzinfo is not None
    assert kept.verdict is Conclusion.PASS
    assert kept.conclusive
    assert kept.stamps == summary.stamps
    assert kept.prediction == summary.prediction
    assert kept.stamps.sustained == pytest.approx(5, abs=0.2)
    assert (kept.rto, kept.rpo, kept.lost) == (30, 0, 0)
    assert kept.unknown == summary.streams[0].unknown > 0
    assert (kept.acked, kept.failed) == (summary.streams[0].acked, 0)
    assert kept.latency_p99 == pytest.approx(0.01)
    assert (kept.seed, kept.phase_offset, kept.tool) == (7, 1.5, "0.1.0")


def test_what_was_not_read_back_is_not_called_nothing_lost(tmp_path: Path) -> None:
    write(tmp_path, made=MadeUp(read=None))
    with RunsStore(tmp_path) as store:
        store.sync(never)
        [kept] = store.runs()
    assert kept.verdict is Conclusion.INCONCLUSIVE
    assert not kept.conclusive
    assert (kept.lost, kept.rpo) == (None, None)


def test_losses_and_reasons_are_kept(tmp_path: Path) -> None:
    made = MadeUp(read=lambda ids: ids[:150] + ids[153:], promise=Promise(rto=30, rpo=0))
    summary = write(tmp_path, made=made)
    with RunsStore(tmp_path) as store:
        store.sync(never)
        [kept] = store.runs()
    assert (kept.verdict, kept.lost) == (Conclusion.FAIL, 3)
    assert kept.rpo
    assert kept.reasons == summary.reasons


def test_again_changes_nothing_and_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    with RunsStore(tmp_path) as store:
        store.sync(never)
        before = store.runs()
        monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
        assert store.sync(never) == Synced(0, ())
        assert store.runs() == before
    with RunsStore(tmp_path) as store:
        assert store.sync(never).added == 0
        assert store.runs() == before


def test_a_verdict_that_changed_is_taken_in(tmp_path: Path) -> None:
    summary = write(tmp_path)
    with RunsStore(tmp_path) as store:
        store.sync(never)
        write_summary(replace(summary, conclusion=Conclusion.FAIL, reasons=("seen again",)))
        assert store.sync(never).added == 1
        [kept] = store.runs()
    assert (kept.verdict, kept.reasons) == (Conclusion.FAIL, ("seen again",))


def test_a_folder_that_was_deleted_is_not_forgotten(tmp_path: Path) -> None:
    summary = write(tmp_path)
    with RunsStore(tmp_path) as store:
        store.sync(never)
        for file in summary.folder.iterdir():
            file.unlink()
        summary.folder.rmdir()
        assert store.sync(never) == Synced(0, ())
        assert len(store.runs()) == 1


def test_a_file_that_was_deleted_is_filled_again(tmp_path: Path) -> None:
    write(tmp_path)
    with RunsStore(tmp_path) as store:
        store.sync(never)
    for file in tmp_path.glob(f"{STORE}*"):
        file.unlink()
    with RunsStore(tmp_path) as store:
        assert store.sync(never).added == 1


def test_a_broken_folder_hides_no_other_and_is_told(tmp_path: Path) -> None:
    write(tmp_path, 1)
    broken = folder_of(tmp_path, 2)
    broken.mkdir(parents=True)
    (broken / VERDICT).write_text("{", "utf-8")
    with RunsStore(tmp_path) as store:
        synced = store.sync(conclude)
        assert synced.added == 1
        [(name, reason)] = synced.unread
        assert name == broken.name
        assert "config.json is missing" in reason
        assert store.sync(never).unread == synced.unread  # known, and not judged again
        write(tmp_path, 2)  # mended
        assert store.sync(never) == Synced(1, ())
        assert len(store.runs()) == 2


def test_a_verdict_of_an_older_form_is_computed_again(tmp_path: Path) -> None:
    summary = write(tmp_path)
    (summary.folder / VERDICT).write_text('{"run": "0123abcd"}', "utf-8")
    with RunsStore(tmp_path) as store:
        assert store.sync(conclude).added == 1
        assert store.runs()[0].verdict is Conclusion.PASS


def test_a_run_under_way_is_left_alone_and_one_cut_off_is_judged(tmp_path: Path) -> None:
    folder = MadeUp(stopped=False, converged=None).write(folder_of(tmp_path))
    written = (folder / EVENTS).stat().st_mtime
    with RunsStore(tmp_path, lambda: written + UNDER_WAY_SECONDS - 1) as store:
        assert store.sync(never) == Synced(0, ())
    with RunsStore(tmp_path, lambda: written + UNDER_WAY_SECONDS + 1) as store:
        assert store.sync(conclude).added == 1
        assert store.runs()[0].folder == folder.name
        assert store.sync(never).added == 0


def test_runs_come_oldest_first_and_the_newest_are_meant(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write(tmp_path, number)
    other = MadeUp().write(folder_of(tmp_path, 4, "pg-node-kill"))
    write_summary(replace(conclude(other), drill="pg-node-kill", began=BEGAN + timedelta(days=4)))
    with RunsStore(tmp_path) as store:
        store.sync(never)
        days = [(run.began - BEGAN).days for run in store.runs()]
        assert days == [1, 2, 3, 4]
        assert [(run.began - BEGAN).days for run in store.runs("mongo-primary-kill", 2)] == [2, 3]
        assert store.runs("no-such-drill") == ()


def test_time_zones_do_not_disturb_the_order(tmp_path: Path) -> None:
    write(tmp_path, 1)
    summary = write(tmp_path, 2)
    zone = datetime.fromisoformat("2026-03-03T13:00:00+01:00")
    write_summary(replace(summary, began=zone))
    with RunsStore(tmp_path) as store:
        store.sync(never)
        assert store.runs()[-1].began == datetime(2026, 3, 3, 12, tzinfo=UTC)


def test_two_at_once(tmp_path: Path) -> None:
    write(tmp_path)
    with RunsStore(tmp_path) as first, RunsStore(tmp_path) as second:
        assert first.sync(never).added == 1
        assert second.sync(never).added == 0
        assert second.runs() == first.runs()


def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    with RunsStore(tmp_path):
        pass
    with sqlite3.connect(tmp_path / STORE) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(OpsError, match="newer version"):
        RunsStore(tmp_path)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / STORE).write_text("no database " * 100, "utf-8")
    with pytest.raises(OpsError, match=r"history\.sqlite: file is not a database"):
        RunsStore(tmp_path)


def test_the_file_is_in_wal_mode_and_says_its_version(tmp_path: Path) -> None:
    with RunsStore(tmp_path), sqlite3.connect(tmp_path / STORE) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_nothing_is_lost_when_a_writer_is_killed(tmp_path: Path) -> None:
    """What was taken in is on disk before the next folder is looked at."""
    write(tmp_path, 1)
    write(tmp_path, 2)
    child = os.fork()
    if child == 0:
        store = RunsStore(tmp_path)
        store._take(folder_of(tmp_path, 1), (1, 1), conclude)
        os._exit(9)
    os.waitpid(child, 0)
    with RunsStore(tmp_path) as store:
        assert len(store.runs()) == 1
        store.sync(never)
        assert len(store.runs()) == 2


def test_outcomes_that_were_not_sent_count_as_failed(tmp_path: Path) -> None:
    def unsent(ops: list) -> list:  # type: ignore[type-arg]
        return [replace(op, outcome=Outcome.UNSENT) if op.due < 1 else op for op in ops]

    write(tmp_path, made=MadeUp(ops=unsent))
    with RunsStore(tmp_path) as store:
        store.sync(never)
        assert store.runs()[0].failed == 10
