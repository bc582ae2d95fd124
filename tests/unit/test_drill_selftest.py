"""The self-test finds what it plants, and finds out a checker that does not."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.drill.checkers import sets
from cluster.drill.contracts import Availability, Promise
from cluster.drill.evidence import VERDICT
from cluster.drill.judge import RUN_CHECKS
from cluster.drill.judge_streams import CHECKS
from cluster.drill.measures import Measures
from cluster.drill.selftest.defects import DEFECTS
from cluster.drill.selftest.genuine import write_genuine
from cluster.drill.selftest.suite import CLEAN, all_caught, on_copy, on_genuine
from cluster.drill.verdict import Finding, invalid
from skillswap_ops.commands.drill import command
from skillswap_ops.traffic.selftest import CHAIN_DEFECTS
from tests.unit.drill_samples import MadeUp

ALL = (*DEFECTS, *CHAIN_DEFECTS)  # what the command plants


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)


def missed() -> set[str]:
    return {one.defect for one in on_genuine() if not one.caught}


def test_every_defect_is_planted_and_caught() -> None:
    planted = on_genuine()
    assert [one.defect for one in planted] == [CLEAN, *(defect.name for defect in DEFECTS)]
    assert [one for one in planted if one.skipped or not one.caught] == []
    assert all_caught(planted)


def test_every_checker_has_a_defect() -> None:
    """A checker that is taken away is missed; each but the preconditions', which break nothing."""
    expected = {defect.check for defect in DEFECTS}
    findings = {"RTO", "outage", "refusal", "phantom", "duplicate", "resurrected", "effect"}
    judged = set(RUN_CHECKS) | set(CHECKS) | findings
    covers = {"preconditions", "streams", "strangers", "availability"}  # by their findings' names
    assert expected == judged - covers


@pytest.mark.parametrize("name", sorted(set(RUN_CHECKS) - {"preconditions"}))
def test_a_run_checker_that_says_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(RUN_CHECKS, name, lambda _: [])
    assert missed()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_stream_checker_that_says_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(CHECKS, name, lambda _: iter(()))
    assert missed()


def test_a_checker_that_cries_wolf_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sets.compare

    def wolf(history: sets.History, read: sets.OpIds) -> sets.Sets:
        return honest(history, read[1:])  # forgets a row of everything that was read

    monkeypatch.setattr("cluster.drill.measures.sets.compare", wolf)
    assert CLEAN in missed()


# Planted into a copy of another run.


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    folder = MadeUp(promise=Promise(rto=30, election=15)).write(tmp_path / "run")
    before = digest(folder)
    yield folder
    assert digest(folder) == before


def digest(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def test_a_run_is_copied_and_never_touched(run: Path) -> None:
    planted = on_copy(run)
    assert all_caught(planted)
    skipped = {one.defect: one.skipped for one in planted if one.skipped}
    assert skipped == {
        "a failed write is there all the same": "no stream has a failed write",
        "a control loses nothing": "no stream is a control that lost",
        "an outage where there must be none": "no stream stayed untouched as it must",
        "an ack that must be refused": "no stream must be refused",
        "an error where there must be none": "no stream must be flawless",
    }


def test_a_failed_run_shows_defects_all_the_same(tmp_path: Path) -> None:
    run = MadeUp(
        promise=Promise(Availability.RESTORED, rto=4),
        read=lambda stored: [*stored[:150], *stored[151:], stored[3]],
    ).write(tmp_path / "run")
    (run / VERDICT).write_text('{"conclusion": "fail"}')
    planted = on_copy(run)
    assert planted[0].expected == "fail"
    assert all_caught(planted)
    assert planted[0].said


def test_an_engines_own_checker_may_say_more_but_not_what_cannot_be_said(tmp_path: Path) -> None:
    run = MadeUp(checks=("explained",)).write(tmp_path / "run")

    def explained(measures: Measures) -> Iterator[Finding]:
        sets = measures.streams[0].sets
        if sets and len(sets.lost):
            yield invalid("explained", f"{len(sets.lost)} are in no rollback file")

    planted = {one.defect: one for one in on_copy(run, {"explained": explained})}
    assert planted["an acknowledged write is lost"].caught
    # nothing was read: that all of it is lost is more than can be known
    assert not planted["nothing is read back"].caught


def test_a_run_that_was_judged_otherwise_is_found_out(run: Path, tmp_path: Path) -> None:
    (run / VERDICT).write_text('{"conclusion": "fail"}')
    try:
        first = on_copy(run)[0]
        assert (first.expected, first.caught) == ("fail", False)
    finally:
        (run / VERDICT).unlink()


# The command.


def selftest(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["selftest", *arguments])


def test_the_command_says_what_was_caught() -> None:
    result = selftest()
    assert result.exit_code == 0, result.output
    assert f"{len(ALL)} defects planted, {len(ALL)} caught" in result.output


def test_the_command_in_json() -> None:
    result = selftest("--output", "json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [one["defect"] for one in told] == [CLEAN, *(defect.name for defect in ALL)]
    assert all(one["caught"] for one in told)


def test_the_command_fails_where_a_checker_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.drill.judge.split_brains", lambda _: ())
    result = selftest()
    assert result.exit_code == 1
    assert "NOT CAUGHT" in result.output
    assert f"{len(ALL)} defects planted, {len(ALL) - 2} caught" in result.output


def test_the_command_on_a_runs_folder(tmp_path: Path) -> None:
    write_genuine(tmp_path)
    result = selftest("--run", str(tmp_path))
    assert result.exit_code == 0, result.output
