"""A whole drill on a cluster in memory: whatever happens, the fault is undone, and judged."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.contracts import (
    Availability,
    Drill,
    Effect,
    Observation,
    Promise,
    Stage,
    UndoRecord,
)
from cluster.drill.events import (
    Event,
    Injected,
    Injecting,
    LoadBegan,
    Phase,
    PhaseBegan,
    Undone,
)
from cluster.drill.evidence import VERDICT, load_run, runs
from cluster.drill.injection import heal_all
from cluster.drill.journal import Journal
from cluster.drill.judge import recheck
from cluster.drill.meter import Live
from cluster.drill.outcome import ACKED, Result
from cluster.drill.report import RunSummary, as_json
from cluster.drill.runner import HARNESS_ERROR, Hooks, Options, conclude, run_drill, validate
from cluster.drill.verdict import Conclusion
from cluster.errors import InconclusiveError, OpsError, RefusedError, UnreachableError
from cluster.target import Hit
from tests.unit.drill_fakes import (
    REFUSED,
    RULES,
    TIMINGS,
    FakeCluster,
    FakeFault,
    FakeObserver,
    drill,
    quicken,
    stream,
    threads_of_drills,
    until,
)

OPTIONS = Options(seed=7, tool="0.1.0", rules=RULES)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, and no waiting for the disk, so that they may be short."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("os.fdatasync", lambda _: None)
    quicken(monkeypatch)


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    assert {number: signal.getsignal(number) for number in before} == before
    for _ in until(lambda: not threads_of_drills()):
        pass


def go(plan: Drill, drills: Path, on_event: Callable[[Event], None] = lambda _: None) -> RunSummary:
    return run_drill(plan, drills, OPTIONS, Hooks(on_event))


def phases(summary: RunSummary) -> list[str]:
    return [phase.name for phase in summary.phases]


def test_a_failover_that_holds_its_promises_passes(tmp_path: Path) -> None:
    cluster = FakeCluster(election=1.0)
    slow = (stream(cluster, rate=60),)  # a busy machine sends fewer than half of 200 in time
    plan = drill(cluster, streams=slow, timings=replace(TIMINGS, baseline=1.0))
    rules = RULES.model_copy(update={"before": 0.5, "acks_before": 5})
    lives: list[Callable[[], tuple[Live, ...]]] = []
    events: list[Event] = []
    seen_live: list[tuple[Live, ...]] = []

    def watch(event: Event) -> None:
        events.append(event)
        if isinstance(event.what, Injected):
            seen_live.append(lives[0]())

    summary = run_drill(plan, tmp_path, replace(OPTIONS, rules=rules), Hooks(watch, lives.append))
    assert summary.reasons == ()
    assert (summary.conclusion, summary.exit_code) == (Conclusion.PASS, 0)
    assert phases(summary) == [phase.value for phase in Phase]
    assert summary.faults == (("SIGKILL a1", "a1 is gone"),)
    assert summary.versions == {"fake": "1"}
    stamps = summary.stamps
    assert stamps.detected is not None
    assert stamps.elected is not None
    assert stamps.first_success is not None
    assert stamps.sustained is not None
    assert 0 <= stamps.detected <= stamps.elected < 30
    assert 0.5 < stamps.first_success < 30
    assert 0.5 < stamps.sustained < 30
    (flow,) = summary.streams
    assert flow.compared
    assert flow.compared.lost == flow.compared.phantom == flow.compared.duplicate == 0
    assert flow.compared.read == flow.acked
    assert "NotWritablePrimary" in dict(flow.errors)
    assert cluster.mended == [UndoRecord("start", ("a1",))]
    assert cluster.prepared == [summary.run]
    assert cluster.discarded == 1
    (observer,) = plan.observers
    assert isinstance(observer, FakeObserver)
    assert observer.closed
    assert seen_live[0][0].acked > 10
    assert lives[0]() == ()
    assert [event.what for event in events if isinstance(event.what, LoadBegan)]
    Journal(tmp_path).refuse_if_open()


def test_a_recheck_says_what_the_run_said(tmp_path: Path) -> None:
    summary = go(drill(FakeCluster(lose=3)), tmp_path)
    (folder,) = runs(tmp_path)
    assert folder == summary.folder
    assert conclude(folder) == summary
    assert (folder / VERDICT).read_text() == as_json(summary) + "\n"


def test_lost_writes_fail_and_the_rows_are_kept(tmp_path: Path) -> None:
    cluster = FakeCluster(lose=3)
    summary = go(drill(cluster), tmp_path)
    assert summary.conclusion is Conclusion.FAIL
    assert "3 acknowledged writes lost" in summary.reasons[0]
    assert cluster.discarded == 0
    assert f"the rows of run {summary.run} were kept in the cluster" in (
        load_run(summary.folder).timeline.notes
    )


def test_two_primaries_fail(tmp_path: Path) -> None:
    summary = go(drill(FakeCluster(two_leaders=True)), tmp_path)
    assert summary.conclusion is Conclusion.FAIL
    assert [reason for reason in summary.reasons if "a1 and a2 led at once" in reason]


@dataclass
class Scripted(FakeObserver):
    """Says these things of another group after the fault, each once, and the last for good."""

    group: str = "shard-b"
    script: list[Observation] = field(default_factory=list)

    def sample(self) -> Observation:
        if self.cluster.killed_at is None or not self.script:
            return Observation(("b1",), 1)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


B1, BOTH = Observation(("b1",), 1), Observation(("b1", "b2"), 1)


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ([B1, BOTH, BOTH, B1], 1, "shard-b: b1 and b2 led at once, "),
        ([B1, BOTH, B1], 3, "shard-b: b1 and b2 seen to lead in one sample, "),
        ([B1, Observation(("b2",), 2, stale=("b1",))], 0, ""),
    ],
)
def test_two_primaries_are_seen_wherever_and_however_briefly(
    tmp_path: Path, script: list[Observation], code: int, reason: str
) -> None:
    cluster = FakeCluster()
    watched = (FakeObserver(cluster), Scripted(cluster, script=script))
    summary = go(drill(cluster, observers=watched), tmp_path)
    assert summary.exit_code == code, summary.reasons
    assert "".join(summary.reasons).startswith(reason)


def test_a_control_must_lose(tmp_path: Path) -> None:
    cluster = FakeCluster(lose=3)
    flow = stream(cluster, promise=Promise(rto=30, rpo=300, must_lose=True))
    assert go(drill(cluster, streams=(flow,)), tmp_path).conclusion is Conclusion.PASS


def test_a_service_that_does_not_come_back_fails(tmp_path: Path) -> None:
    cluster = FakeCluster(election=1000)
    plan = drill(
        cluster,
        streams=(stream(cluster, promise=Promise(rto=0.3)),),
        timings=replace(TIMINGS, recover_within=0.5, converge_within=0.2),
    )
    summary = go(plan, tmp_path)
    assert summary.conclusion is Conclusion.FAIL
    assert "majority: not restored within 0.3 s" in summary.reasons
    assert "not recovered within 0.5 s" in summary.notes
    assert len(cluster.mended) == 1


def test_an_unmet_precondition_breaks_nothing(tmp_path: Path) -> None:
    cluster = FakeCluster()
    summary = go(drill(cluster, preflight=lambda: ["a2 is not streaming"]), tmp_path)
    assert summary.exit_code == 3
    assert summary.reasons[0] == "a2 is not streaming"
    assert phases(summary) == ["preflight", "end"]
    assert cluster.killed_at is None
    assert cluster.mended == []
    assert cluster.prepared == []


def test_a_cluster_without_a_leader_is_not_broken_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.drill.course.FIRST_SAMPLES", 0.2)
    cluster = FakeCluster(killed_at=time.monotonic() + 100)
    summary = go(drill(cluster), tmp_path)
    assert summary.reasons[0] == "shard-a: 0 leaders seen"
    assert phases(summary) == ["preflight", "end"]


SIGNALS = [(phase, signal.SIGINT) for phase in Phase if phase is not Phase.END]


@pytest.mark.parametrize(
    ("phase", "number"), [*SIGNALS, (Phase.FAULT, signal.SIGTERM), (Phase.UNDO, signal.SIGHUP)]
)
def test_an_interruption_in_any_phase_undoes_and_reports(
    tmp_path: Path, phase: Phase, number: signal.Signals
) -> None:
    cluster = FakeCluster()

    def interrupt(event: Event) -> None:
        if event.what == PhaseBegan(phase=phase):
            os.kill(os.getpid(), number)

    summary = go(drill(cluster), tmp_path, interrupt)
    assert summary.exit_code == 3
    assert f"interrupted by {number.name}" in summary.reasons
    assert summary.interrupted
    assert not cluster.dead
    Journal(tmp_path).refuse_if_open()
    assert summary.folder.joinpath(VERDICT).exists()
    assert phases(summary)[-1] == "end"
    if phase in {Phase.RECOVERY, Phase.UNDO, Phase.CONVERGENCE, Phase.STOP}:
        compared = summary.streams[0].compared
        assert compared or phase is Phase.STOP  # then it was reading that was skipped
        assert len(cluster.mended) == 1


@pytest.mark.parametrize("kind", [Injecting, Injected, Undone])
def test_an_interruption_around_the_fault_undoes(tmp_path: Path, kind: type) -> None:
    cluster = FakeCluster()

    def interrupt(event: Event) -> None:
        if isinstance(event.what, kind):
            os.kill(os.getpid(), signal.SIGINT)

    summary = go(drill(cluster), tmp_path, interrupt)
    assert summary.exit_code == 3
    assert not cluster.dead
    Journal(tmp_path).refuse_if_open()


def test_two_interruptions_skip_two_phases(tmp_path: Path) -> None:
    cluster = FakeCluster()

    def interrupt(event: Event) -> None:
        if isinstance(event.what, PhaseBegan) and event.what.phase in {
            Phase.RECOVERY,
            Phase.CONVERGENCE,
        }:
            os.kill(os.getpid(), signal.SIGINT)

    summary = go(drill(cluster), tmp_path, interrupt)
    assert load_run(summary.folder).timeline.interrupted == ("SIGINT", "SIGINT")
    assert summary.streams[0].compared


@dataclass(frozen=True)
class BadFault(FakeFault):
    """Hits, and then cannot prove it."""

    error: Exception = field(default_factory=lambda: OpsError("a1 is still there"))

    def inject(self) -> Hit:
        super().inject()
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OpsError("a1 is still there"), "a1 is still there"),
        (KeyError("pid"), "harness error: KeyError: 'pid'"),
    ],
)
def test_a_fault_that_fails_is_undone_all_the_same(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    cluster = FakeCluster()
    plan = drill(cluster, stages=(Stage(lambda *_: BadFault(cluster, error=error)),))
    summary = go(plan, tmp_path)
    assert summary.reasons[:2] == (reason, "no fault was proved to have hit")
    assert len(cluster.mended) == 1
    assert not cluster.dead
    Journal(tmp_path).refuse_if_open()
    assert (summary.folder / HARNESS_ERROR).exists() == isinstance(error, KeyError)


def test_a_fault_that_nobody_can_undo_is_not_injected(tmp_path: Path) -> None:
    cluster = FakeCluster()
    summary = go(drill(cluster, healers={}), tmp_path)
    assert summary.reasons[0] == "SIGKILL a1: nothing here knows how to undo start"
    assert cluster.killed_at is None
    Journal(tmp_path).refuse_if_open()


def test_no_target_is_inconclusive(tmp_path: Path) -> None:
    def choose(*_: object) -> FakeFault:
        raise InconclusiveError("nobody leads")

    summary = go(drill(FakeCluster(), stages=(Stage(choose),)), tmp_path)
    assert summary.reasons == ("nobody leads", "no fault was proved to have hit")


def test_a_fault_that_cannot_be_undone_is_exit_4_and_blocks_the_next(tmp_path: Path) -> None:
    cluster = FakeCluster(mendable=False)
    summary = go(drill(cluster), tmp_path)
    assert summary.exit_code == 4
    assert summary.not_undone == ("SIGKILL a1",)
    assert len(cluster.mended) == 2  # it is tried again
    with pytest.raises(RefusedError, match="SIGKILL a1"):
        go(drill(FakeCluster()), tmp_path)
    assert len(runs(tmp_path)) == 1
    (result,) = heal_all(tmp_path, {"start": cluster.mend})
    assert result.error == "a1 does not start"
    assert recheck(summary.folder).exit_code == 4
    cluster.mendable = True
    (result,) = heal_all(tmp_path, {"start": cluster.mend})
    assert result.error == ""
    assert not cluster.dead
    assert recheck(summary.folder).not_undone == ()
    assert heal_all(tmp_path, {"start": cluster.mend}) == ()
    Journal(tmp_path).refuse_if_open()


def test_reading_back_may_fail(tmp_path: Path) -> None:
    class Unreadable:
        def read_back(self) -> Iterator[np.ndarray]:
            yield np.array([1], np.int64)
            raise UnreachableError("shard-a has no primary")

    cluster = FakeCluster()
    flow = stream(cluster)
    flow.store.read_back = Unreadable().read_back  # type: ignore[method-assign]
    summary = go(drill(cluster, streams=(flow,)), tmp_path)
    assert summary.reasons == ("majority: not read back: shard-a has no primary",)
    assert not list(summary.folder.glob("*.part"))


def test_a_fault_that_hurts_late_is_waited_for(tmp_path: Path) -> None:
    """A lease that runs out: served for a while, then down, then another leader."""

    class Leased(FakeCluster):
        def write(self, op: int) -> Result:
            late = self.killed_at is not None and time.monotonic() - self.killed_at > 0.25
            self.rows.append(op) if not late or self.elected else None
            return ACKED if not late or self.elected else REFUSED

        def observation(self) -> Observation:
            self.noticed = self.killed_at is not None
            return Observation(("a2",), 2) if self.elected else Observation(("a1",), 1)

    summary = go(drill(Leased(election=0.4)), tmp_path)
    assert summary.reasons == ()
    assert summary.stamps.sustained is not None
    assert 0.35 < summary.stamps.sustained < 30


def test_an_outage_that_ends_with_the_undo(tmp_path: Path) -> None:
    """Majority lost: refused while the fault is in place, restored by its undo."""

    class Stopped(FakeCluster):
        def observation(self) -> Observation:
            return Observation((), 1) if self.dead else Observation(("a1",), 1)

        def write(self, op: int) -> Result:
            self.killed_at = time.monotonic() if self.dead else None
            return super().write(op)

    cluster = Stopped(election=1000)
    promise = Promise(Availability.RESTORED_AFTER_UNDO, rto=1, refuses=True)
    plan = drill(
        cluster,
        streams=(stream(cluster, promise=promise),),
        effect=Effect.ANY,
        timings=replace(TIMINGS, hold=0.2, recover_within=0.2),
    )
    summary = go(plan, tmp_path)
    assert summary.reasons == ()
    assert summary.conclusion is Conclusion.PASS
    assert summary.streams[0].sustained is not None
    assert summary.streams[0].sustained < 0.5


def test_settings_that_change_under_the_fault(tmp_path: Path) -> None:
    cluster = FakeCluster()
    plan = drill(cluster, settings=lambda: {"w": "1" if cluster.elected else "majority"})
    assert go(plan, tmp_path).reasons == ("w was majority, during the fault 1",)


def test_evidence_that_cannot_be_collected_spoils_no_verdict_but_is_told(tmp_path: Path) -> None:
    def collect(folder: Path) -> None:
        (folder / "log").write_text("x")
        raise UnreachableError("a1 has no log")

    summary = go(drill(FakeCluster(), collect=collect), tmp_path)
    assert summary.reasons == ("a1 has no log",)
    assert (summary.folder / "collected" / "log").exists()


def test_what_the_undo_destroys_is_saved_before(tmp_path: Path) -> None:
    cluster = FakeCluster()

    def preserve(folder: Path) -> None:
        (folder / "old-timeline").write_text(f"dead: {cluster.dead}")
        raise UnreachableError("no more")

    summary = go(drill(cluster, preserve=preserve), tmp_path)
    assert (summary.folder / "collected" / "old-timeline").read_text() == "dead: True"
    assert summary.reasons == ("no more",)
    assert not cluster.dead


def test_an_observer_that_breaks_makes_it_inconclusive(tmp_path: Path) -> None:
    cluster = FakeCluster()

    class Broken(FakeObserver):
        def sample(self) -> Observation:
            if cluster.elected:
                raise ValueError("bad reply")
            return super().sample()

    plan = drill(
        cluster,
        observers=(Broken(cluster),),
        timings=replace(TIMINGS, recover_within=0.4),
    )
    reasons = go(plan, tmp_path).reasons
    assert "the observer of shard-a failed: ValueError('bad reply')" in reasons


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"streams": ()}, "1 to 254"),
        ({"observers": ()}, "nobody observes shard-a"),
        ({"group": "shard-b"}, "nobody observes shard-b"),
        ({"stages": ()}, "no fault"),
    ],
)
def test_a_drill_that_contradicts_itself(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(drill(FakeCluster(), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 0},
        {"workers": 256},
        {"good_within": 0},
        {"promise": Promise(Availability.REFUSED)},
    ],
)
def test_a_stream_that_contradicts_itself(change: dict[str, object]) -> None:
    cluster = FakeCluster()
    with pytest.raises(ValueError, match="majority"):
        validate(drill(cluster, streams=(stream(cluster, **change),)))


def test_the_seed_decides_the_phase(tmp_path: Path) -> None:
    def offset(seed: int) -> float:
        plan = drill(FakeCluster(), preflight=lambda: ["no"])
        return run_drill(plan, tmp_path, replace(OPTIONS, seed=seed)).phase_offset

    assert offset(1) == offset(1)
    assert offset(1) != offset(2)


CHILD = """
import sys, time
from pathlib import Path
from cluster.drill.events import Injected
from cluster.drill.runner import Hooks, Options, run_drill
from tests.unit.drill_fakes import RULES, FakeCluster, drill
hooks = Hooks(lambda event: isinstance(event.what, Injected) and print("hit", flush=True))
run_drill(drill(FakeCluster()), Path(sys.argv[1]), Options(7, "0.1.0", RULES), hooks)
"""


def test_kill_9_under_the_fault_leaves_what_heal_needs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "hit\n"
    process.kill()
    process.wait(10)
    process.stdout.close()
    (folder,) = runs(tmp_path)
    verdict = recheck(folder)
    assert verdict.exit_code == 4
    assert "the run was cut off: its load was never stopped" in verdict.reasons
    with pytest.raises(RefusedError):
        go(drill(FakeCluster()), tmp_path)
    cluster = FakeCluster(dead=True)
    (result,) = heal_all(tmp_path, {"start": cluster.mend})
    assert result.error == ""
    assert not cluster.dead
    assert recheck(folder).exit_code == 3
    assert go(drill(FakeCluster()), tmp_path).conclusion is Conclusion.PASS
