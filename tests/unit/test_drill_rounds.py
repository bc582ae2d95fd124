"""Soaks: many faults in one run, planned by chance, judged one by one."""

import time
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from cluster.drill.checkers.rounds import ROUNDS, every_round
from cluster.drill.contracts import (
    Availability,
    Drill,
    Effect,
    Fault,
    Promise,
    Round,
    Rounds,
    Seen,
    Stage,
    Step,
    UndoRecord,
)
from cluster.drill.eventlog import read_events
from cluster.drill.events import RoundBegan, Stall
from cluster.drill.evidence import EVENTS
from cluster.drill.outcome import Result
from cluster.drill.report import RunSummary
from cluster.drill.rounds import plan
from cluster.drill.runner import Options, conclude, run_drill
from cluster.drill.selftest.copy import Copy
from cluster.errors import InconclusiveError, UnreachableError
from cluster.target import Hit
from tests.unit.drill_fakes import REFUSED, RULES, TIMINGS, FakeCluster, drill, quicken, stream


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


POOL = tuple(Round(name, ()) for name in ("kill", "freeze", "isolate"))


def planned(seed: int) -> list[tuple[str, float, int]]:
    some = islice(plan(Rounds(POOL, seconds=60, hold=(1, 5)), Random(seed)), 50)
    return [(each.what.name, each.hold, each.seed) for each in some]


def test_a_seed_plans_the_same_rounds_again_and_another_seed_others() -> None:
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)
    assert {name for name, _, _ in planned(7)} == {"kill", "freeze", "isolate"}
    assert all(1 <= hold <= 5 for _, hold, _ in planned(7))


class SoakedCluster(FakeCluster):
    """Refuses every write for as long as a fault is in place."""

    def write(self, op: int) -> Result:
        return REFUSED if self.dead else super().write(op)


@dataclass
class Stops:
    """The fault."""

    cluster: SoakedCluster
    name: str = "stop writes"
    undo: UndoRecord = field(default_factory=lambda: UndoRecord("start", ("a1",)))

    def inject(self) -> Hit:
        self.cluster.dead = True
        return Hit(time.monotonic(), "writes are refused")


def soak(cluster: SoakedCluster, **more: object) -> Drill:
    def choose(_seen: Seen, _chance: Random) -> Fault:
        return Stops(cluster)

    options: dict[str, object] = {
        "streams": (stream(cluster, promise=Promise(Availability.UNTOUCHED, rto=5)),),
        "stages": (),
        "effect": Effect.ANY,
        "checks": (ROUNDS,),
        "rounds": Rounds((Round("stop", (Stage(choose),)),), seconds=2.0, hold=(0.1, 0.3)),
        "timings": replace(TIMINGS, converge_within=20.0),
    }
    return drill(cluster, **{**options, **more})


def with_rounds(made: Drill, seconds: float, *hold: float) -> Drill:
    assert made.rounds
    shortest, longest = hold
    return replace(made, rounds=replace(made.rounds, seconds=seconds, hold=(shortest, longest)))


def run(folder: Path, made: Drill, seed: int = 3) -> RunSummary:
    # A slow machine excuses what is late; these tests are of what is not excused.
    rules = RULES.model_copy(update={"touched_window": 0.2, "stall": 60.0, "overload": 2.0})
    return run_drill(made, folder, Options(seed, "0", rules), checks={ROUNDS: every_round})


def test_a_soak_breaks_and_mends_until_its_time_is_up(tmp_path: Path) -> None:
    cluster = SoakedCluster()
    summary = run(tmp_path, with_rounds(soak(cluster), 5.0, 0.1, 0.3))
    rounds = [finding for finding in summary.findings if finding.check == ROUNDS]
    assert summary.conclusion == "pass", summary.reasons
    assert len(rounds) == len(cluster.mended) >= 2
    assert [finding.subject for finding in rounds[:2]] == ["round 1, stop", "round 2, stop"]
    assert "stop writes: " in rounds[0].message
    assert "after the undo" in rounds[0].message
    assert not list((tmp_path / "open-faults").glob("*.json"))
    events = read_events(summary.folder / EVENTS)
    holds = [event.what.hold for event in events if isinstance(event.what, RoundBegan)]
    other = with_rounds(soak(SoakedCluster()), 5.0, 0.1, 0.3)
    again = read_events(run(tmp_path, other).folder / EVENTS)
    held = [event.what.hold for event in again if isinstance(event.what, RoundBegan)]
    assert holds[:2] == held[:2]


def test_a_round_that_does_not_get_whole_is_the_last_and_a_fail(tmp_path: Path) -> None:
    timings = replace(TIMINGS, converge_within=2.0)
    made = soak(SoakedCluster(), converged=lambda: "a1 is down", timings=timings)
    summary = run(tmp_path, with_rounds(made, 60, 0.1, 0.2))
    [finding] = [each for each in summary.findings if each.check == ROUNDS]
    assert summary.conclusion == "fail"
    assert finding.validity == "invalid"
    assert finding.message == "stop writes: not whole again: a1 is down"


def test_an_outage_over_the_promise_is_a_fail_that_names_its_fault(tmp_path: Path) -> None:
    cluster = SoakedCluster()
    hasty = stream(cluster, promise=Promise(Availability.UNTOUCHED, rto=0.05))
    summary = run(tmp_path, with_rounds(soak(cluster, streams=(hasty,)), 0.5, 1.0, 1.2))
    finding = next(each for each in summary.findings if each.check == ROUNDS)
    assert summary.conclusion == "fail"
    assert finding.validity == "invalid"
    assert "stop writes: longest outage" in finding.message


def test_a_load_that_is_not_served_again_ends_it_and_is_said(tmp_path: Path) -> None:
    cluster = SoakedCluster()

    def served_no_more() -> None:
        cluster.dead = True  # the cluster calls itself whole

    made = soak(cluster, converged=served_no_more, timings=replace(TIMINGS, converge_within=0.5))
    summary = run(tmp_path, with_rounds(made, 60, 0.1, 0.2))
    assert summary.conclusion == "inconclusive"
    assert "whole, and not served within 0.5 s: it ended there" in summary.reasons


def test_a_fault_that_cannot_be_undone_ends_the_soak(tmp_path: Path) -> None:
    cluster = SoakedCluster(mendable=False)
    summary = run(tmp_path, soak(cluster, timings=replace(TIMINGS, converge_within=1.0)))
    assert summary.exit_code == 4
    assert len(summary.faults) == 1


def missing_every(nth: int, cluster: SoakedCluster) -> Stage:
    """Every nth fault finds no target; the first one does."""
    asked = 0

    def choose(_seen: Seen, _chance: Random) -> Fault:
        nonlocal asked
        asked += 1
        if asked % nth == 0:
            raise InconclusiveError("a1 leads by now")
        return Stops(cluster)

    return Stage(choose)


@pytest.mark.parametrize(("nth", "conclusion"), [(10, "pass"), (3, "inconclusive")])
def test_a_fault_without_a_target_does_not_end_the_soak(
    tmp_path: Path, nth: int, conclusion: str
) -> None:
    cluster = SoakedCluster()
    pool = (Round("stop", (missing_every(nth, cluster),)),)
    steps = tuple(Step("stop", 0.05, seed) for seed in range(nth + 1))
    made = replace(soak(cluster), rounds=Rounds(pool, 0.0, (0.1, 0.1), steps))
    summary = run(tmp_path, made)
    found = {each.subject: each for each in summary.findings if each.check == ROUNDS}
    missed = found.pop(f"round {nth}, stop")
    assert missed.message == "not done, it showed nothing: a1 leads by now"
    assert len(cluster.mended) == nth
    assert summary.conclusion == conclusion, summary.reasons
    if conclusion == "inconclusive":
        assert found[""].message == "1 of 4 rounds had no fault"


@pytest.mark.parametrize(("rounds", "conclusion"), [(11, "pass"), (4, "inconclusive")])
def test_a_stall_is_of_its_round(tmp_path: Path, rounds: int, conclusion: str) -> None:
    """An hour in which the harness stood still once has shown something all the same."""
    cluster = SoakedCluster()
    steps = tuple(Step("stop", 0.05, seed) for seed in range(rounds))
    made = soak(cluster)
    assert made.rounds
    run_of = run(tmp_path / "runs", replace(made, rounds=replace(made.rounds, steps=steps)))
    copy = Copy(run_of.folder, tmp_path / "copy")
    first, *_ = (
        each for each in read_events(copy.folder / EVENTS) if isinstance(each.what, RoundBegan)
    )
    copy.add_event(first, Stall(source="planted", seconds=61), later_ns=1)
    summary = conclude(copy.folder, {ROUNDS: every_round})
    found = {each.subject: each.message for each in summary.findings if each.check == ROUNDS}
    assert found["round 1, stop"].endswith("; the harness stood still for 61.0 s")
    assert not found["round 2, stop"].endswith("still for 61.0 s")
    [harness] = [each.message for each in summary.findings if each.check == "harness"]
    assert harness.startswith("stood still 1 times, for 61.0 s at most")
    assert summary.conclusion == conclusion, summary.reasons
    if conclusion == "inconclusive":
        assert summary.reasons == ("in 1 of 4 rounds the harness stood still",)


def test_a_soak_without_a_fault_is_inconclusive(tmp_path: Path) -> None:
    def never(_seen: Seen, _chance: Random) -> Fault:
        raise UnreachableError("nobody leads")

    made = soak(SoakedCluster())
    pool = (Round("never", (Stage(never),)),)
    summary = run(tmp_path, replace(made, rounds=Rounds(pool, 0.2, (0.1, 0.1))))
    assert summary.conclusion == "inconclusive"
    with pytest.raises(ValueError, match="no fault"):
        run(tmp_path, replace(made, rounds=Rounds((), 1, (1, 1))))
