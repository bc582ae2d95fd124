"""A soak that failed, run again in parts on a cluster in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cluster.drill.checkers.rounds import ROUNDS, every_round
from cluster.drill.contracts import (
    Drill,
    Fault,
    Round,
    Rounds,
    Seen,
    Stage,
    Step,
    UndoRecord,
)
from cluster.drill.injection import WorkFailedError
from cluster.drill.report import RunSummary
from cluster.drill.runner import Options, conclude, run_drill
from cluster.drill.steps import parse_steps
from cluster.drill.verdict import Conclusion, Finding, Validity
from cluster.target import Hit
from skillswap_ops.soak_shrinking import failure_of, shrunk
from tests.unit.drill_fakes import RULES, quicken
from tests.unit.test_drill_rounds import SoakedCluster, soak


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@dataclass
class Does:
    """A fault, or work, that does this."""

    name: str
    act: Callable[[], None]
    undo: UndoRecord = field(default_factory=lambda: UndoRecord("start", ("a1",)))

    def inject(self) -> Hit:
        began = time.monotonic()
        self.act()
        return Hit(began, "done")


@dataclass
class Weak:
    """A cluster that a `weaken` leaves so that a later `need` fails."""

    weak: bool = False

    def weaken(self) -> None:
        self.weak = True

    def need(self) -> None:
        if self.weak:
            raise WorkFailedError("it was weak")


def rounds(weak: Weak) -> tuple[Round, ...]:
    acts = {"weaken": weak.weaken, "need": weak.need, "rest": lambda: None}

    def choice(name: str) -> Callable[..., Fault]:
        def choose(_seen: Seen, _chance: object) -> Fault:
            return Does(name, acts[name])

        return choose

    return tuple(Round(name, (Stage(choice(name)),), lasts=False) for name in acts)


def drill_of(steps: tuple[Step, ...]) -> Drill:
    made = soak(SoakedCluster())
    return replace(made, rounds=Rounds(rounds(Weak()), 60, (0, 0), steps))


def run(folder: Path, steps: tuple[Step, ...]) -> RunSummary:
    rules = RULES.model_copy(update={"touched_window": 0.2, "stall": 60.0, "overload": 2.0})
    return run_drill(drill_of(steps), folder, Options(3, "0", rules), checks={ROUNDS: every_round})


def failing(folder: Path, words: str) -> RunSummary:
    whole = run(folder, parse_steps(words))
    assert whole.conclusion == "fail", whole.reasons
    return whole


def imagined(whole: RunSummary, steps: tuple[Step, ...]) -> RunSummary:
    """What a run of these steps would be, without one."""
    names = [step.name for step in steps]
    if "need" in names and "weaken" in names[: names.index("need")]:
        return whole
    return replace(whole, conclusion=Conclusion.PASS, findings=())


def test_the_steps_that_a_failure_needs_are_found_and_told(tmp_path: Path) -> None:
    whole = failing(tmp_path, "rest:0:1,weaken:0:2,rest:0:3,need:0:5,rest:0:6")
    failure = failure_of(whole)
    assert failure is not None
    assert failure.checks == {ROUNDS}
    assert [step.seed for step in failure.steps] == [1, 2, 3, 5]  # a failure is the last
    tried: list[tuple[Step, ...]] = []

    def again(steps: tuple[Step, ...]) -> RunSummary:
        tried.append(steps)
        return run(tmp_path, steps) if len(steps) < 3 else imagined(whole, steps)

    found = shrunk(whole, 20, again)
    *_, note = found.notes
    assert note.startswith(f"2 of 4 steps fail as all did ({len(tried)} tries; no fewer fail): ")
    assert note.endswith(' --seed 3 --steps "weaken:0:2,need:0:5"')
    assert tried[0] == failure.steps[-1:]
    assert note in conclude(whole.folder, {ROUNDS: every_round}).notes


def test_a_soak_that_passes_is_left_alone(tmp_path: Path) -> None:
    whole = run(tmp_path, parse_steps("rest:0:1,need:0:2"))
    assert whole.conclusion == "pass", whole.reasons
    assert shrunk(whole, 20, lambda steps: pytest.fail("tried")) == whole


def test_what_ends_the_search_is_told(tmp_path: Path) -> None:
    whole = failing(tmp_path, "rest:0:1,weaken:0:2,need:0:5")
    command = ': skillswap-ops drill run chaos-soak --seed 3 --steps "rest:0:1,weaken:0:2,need:0:5"'
    found = shrunk(whole, 20, lambda steps: "it was not whole")
    assert found.notes[-1] == f"the 3 steps up to the failure; it was not whole{command}"
    nothing = shrunk(whole, 20, lambda steps: imagined(whole, ()))
    assert nothing.notes[-1].startswith("no part of the 3 steps failed again in ")
    assert nothing.notes[-1].endswith(f" tries{command}")
    bounded = shrunk(whole, 2, lambda steps: imagined(whole, steps))
    assert bounded.notes[-1] in {
        f"no part of the 3 steps failed again in 2 tries{command}",
        "2 of 3 steps fail as all did (2 tries; perhaps fewer would do): skillswap-ops drill run "
        'chaos-soak --seed 3 --steps "weaken:0:2,need:0:5"',
    }


def test_another_failure_is_not_the_one_that_is_looked_for(tmp_path: Path) -> None:
    whole = failing(tmp_path, "weaken:0:1,need:0:6")
    other = replace(whole, findings=(Finding("leadership", Validity.INVALID, "two lead"),))
    assert "no part of the 2 steps failed again" in shrunk(whole, 9, lambda _: other).notes[-1]


def test_a_run_that_leaves_its_fault_is_the_last(tmp_path: Path) -> None:
    whole = failing(tmp_path, "weaken:0:1,need:0:6")
    left = replace(whole, not_undone=("kill",), conclusion=Conclusion.PASS)
    tried = []
    found = shrunk(whole, 9, lambda steps: tried.append(steps) or left)
    assert len(tried) == 1
    assert "was not finished" in found.notes[-1]
    assert failure_of(left) is None
