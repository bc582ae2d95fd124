"""A series of drills: one after another, each on a whole cluster, until one must be the last."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.clock import SYSTEM_CLOCK, Clock, wait_for
from cluster.drill.contracts import DrillSpec, Step
from cluster.drill.report import RunSummary
from cluster.drill.runner import Hooks
from cluster.errors import UnreachableError


@dataclass(frozen=True)
class Skipped:
    """A drill that this target, this user or this topology cannot do."""

    drill: str
    why: str


@dataclass(frozen=True)
class NotRun:
    """A drill that was asked for and never begun, though it could be done here."""

    drill: str
    why: str
    exit_code: int = 3  # its question is open


End = RunSummary | Skipped | NotRun


@dataclass(frozen=True)
class Wishes:
    """How to run drills; times in seconds.

    Repetition n of a drill takes the seed `seed` + n. A `phase` of None is left to chance,
    a `rate` (operations a second) or `minutes` (of a soak) of None to the drill. A soak with
    `steps` runs those alone; one that fails is shrunk in at most `shrink` more runs.
    `whole_within` is from one drill's end until the cluster must be fit for the next.
    """

    seed: int
    repeat: int = 1
    phase: float | None = None
    rate: float | None = None
    minutes: float | None = None
    steps: tuple[Step, ...] = ()
    shrink: int = 0
    keep_data: bool = False
    fail_fast: bool = False
    whole_within: float = 180.0


@dataclass(frozen=True)
class Turn:
    """One run to be done: repetition `number` (from 0) of a drill, unless there is a `why`."""

    spec: DrillSpec
    number: int
    seed: int
    why: str = ""


class Onlooker(Protocol):
    """Whom a series of drills tells how it goes."""

    def begins(self, turn: Turn) -> Hooks:
        """A run begins; the hooks follow it."""
        ...

    def ends(self, end: End) -> None:
        """A drill has ended, or was not run at all."""
        ...

    def waits(self, lacks: str) -> None:
        """The next drill must wait until the cluster is whole; this is what it lacks."""
        ...


def run_series(
    todo: Iterable[Turn],
    wishes: Wishes,
    run: Callable[[Turn], RunSummary | NotRun],
    lacks: Callable[[], str],
    onlooker: Onlooker,
    clock: Clock = SYSTEM_CLOCK,
) -> list[End]:
    """Run drills in turn; one that leaves its fault behind, or is stopped, is the last.

    `lacks` says what the cluster lacks of being whole, "" for nothing.
    """
    ends: list[End] = []
    stop = ""
    for turn in todo:
        end: End
        if turn.why:
            end = Skipped(turn.spec.name, turn.why)
        elif stop := stop or _unfit(ends, wishes, lacks, onlooker, clock):
            end = NotRun(turn.spec.name, stop)
        else:
            end = run(turn)
        ends.append(end)
        onlooker.ends(end)
    return ends


def _unfit(
    ends: Sequence[End],
    wishes: Wishes,
    lacks: Callable[[], str],
    onlooker: Onlooker,
    clock: Clock,
) -> str:
    """Why no other drill may begin after these; "" if it may, the cluster being whole again."""
    last = next((end for end in reversed(ends) if isinstance(end, RunSummary)), None)
    if last is None:
        return ""
    return _last_of_all(last, wishes) or not_whole(last, wishes, lacks, onlooker, clock)


def _last_of_all(last: RunSummary, wishes: Wishes) -> str:
    if last.not_undone:
        return f"the fault of {last.drill} is still in place"
    if last.interrupted:
        return f"{last.drill} was interrupted"
    if wishes.fail_fast and last.exit_code:
        return f"{last.drill} did not pass, and --fail-fast"
    return ""


def not_whole(
    last: RunSummary, wishes: Wishes, lacks: Callable[[], str], onlooker: Onlooker, clock: Clock
) -> str:
    """Wait until the cluster is whole after a run; why it was not in time, "" where it was."""

    def whole() -> bool:
        if missing := lacks():
            raise UnreachableError(missing)
        return True

    try:
        if missing := lacks():
            onlooker.waits(missing)
            wait_for("not whole", whole, seconds=wishes.whole_within, every=1.0, clock=clock)
    except UnreachableError as error:
        return f"after {last.drill} the cluster was {error.message}"
    except KeyboardInterrupt:
        return "interrupted"
    return ""


def worst_exit_code(ends: Sequence[End]) -> int:
    """4 where a fault was not undone, else 1 for a fail, else 3 for an open question, else 0."""
    codes = {end.exit_code for end in ends if not isinstance(end, Skipped)}
    order: Mapping[int, int] = {4: 0, 1: 1, 3: 2, 0: 3}
    return min(codes, key=lambda code: order[code], default=0)
