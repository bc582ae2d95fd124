"""Steps that observe before they act, and the one place that executes them.

An engine describes its work as steps. `check` only observes and decides; `act` makes it so.
`plan` and `--dry-run` call the checks alone, `provision` acts where a check says so.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter

from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.errors import OpsError

# Spans go nowhere unless the command line has named a collector.
TRACER = trace.get_tracer("skillswap-ops")


@dataclass(frozen=True)
class Finding:
    """What a check saw: is the step's work already done, and why is that so."""

    done: bool
    why: str


def done(why: str) -> Finding:
    """The work is there already; `why` is what was seen."""
    return Finding(True, why)  # noqa: FBT003 - the field's name is the function's


def todo(why: str) -> Finding:
    """The work is to be done; `why` is what was missing or different."""
    return Finding(False, why)  # noqa: FBT003


@dataclass(frozen=True)
class Step:
    """One idempotent piece of work.

    `check` may raise UnreachableError; `act` leaves the condition of `check` satisfied, waits for
    it itself with a deadline, and can be killed anywhere and run again. A step follows its `needs`
    and is skipped where one of them failed.
    """

    name: str
    component: str
    what: str
    check: Callable[[], Finding]
    act: Callable[[], None]
    needs: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What became of a step."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"
    WOULD_CHANGE = "would change"


@dataclass(frozen=True)
class Started:
    """A step has begun."""

    step: Step


@dataclass(frozen=True)
class Finished:
    """A step has ended; times are monotonic seconds."""

    step: Step
    outcome: Outcome
    why: str
    began: float
    ended: float
    error: Exception | None = None


Event = Started | Finished


def preview(steps: Sequence[Step], clock: Clock = SYSTEM_CLOCK) -> list[Finished]:
    """What `execute` would do now. A step whose needs would change is not checked: it follows.

    A step whose check fails has the error in its row.
    """
    changing: set[str] = set()
    rows = []
    for step in in_order(steps):
        began = clock.monotonic()
        after = next((need for need in step.needs if need in changing), None)
        finding, error = (todo(f"after {after}"), None) if after else _look(step)
        if not finding.done:
            changing.add(step.name)
        outcome = Outcome.UNCHANGED if finding.done else Outcome.WOULD_CHANGE
        rows.append(Finished(step, outcome, finding.why, began, clock.monotonic(), error))
    return rows


def _look(step: Step) -> tuple[Finding, OpsError | None]:
    """The finding; what cannot be observed, on a bad day, is not known to be done."""
    try:
        return step.check(), None
    except OpsError as error:
        return todo(f"cannot be observed: {error.message}"), error


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps, each after its needs. Raises ValueError: an unknown need, or a loop."""
    by_name = _by_name(steps)
    return [by_name[name] for name in _sorter(by_name).static_order()]


def execute(
    steps: Sequence[Step],
    on_event: Callable[[Event], None],
    *,
    workers: int = 16,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Finished]:
    """Run every step, as many at once as their needs allow.

    A failure lets what is under way finish and skips what needed it; everything independent still
    runs, so that one run gets as far as it can. Returns every step's end, in order of ending.
    """
    by_name = _by_name(steps)
    sorter = _sorter(by_name)
    sorter.prepare()
    broken: dict[str, str] = {}  # a step that has not done its work, and the one that failed
    ends: list[Finished] = []
    running: dict[Future[Finished], tuple[str, str | None]] = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="step")
    around = otel.get_current()
    try:
        while sorter.is_active():
            for name in sorter.get_ready():
                needs = by_name[name].needs
                blocker = next((broken[need] for need in needs if need in broken), None)
                on_event(Started(by_name[name]))
                work = pool.submit(_traced, by_name[name], blocker, clock, around)
                running[work] = name, blocker
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                (name, blocker), end = running.pop(future), future.result()
                if end.outcome in {Outcome.FAILED, Outcome.SKIPPED}:
                    broken[name] = blocker or name
                ends.append(end)
                on_event(end)
                sorter.done(name)
    finally:
        # Ctrl-C does not wait for steps with a deadline of a minute: they can be run again.
        pool.shutdown(wait=False, cancel_futures=True)
    return ends


def _traced(step: Step, blocker: str | None, clock: Clock, around: otel.Context) -> Finished:
    with TRACER.start_as_current_span(step.name, around) as span:
        end = _run(step, blocker, clock)
        span.set_attributes({"step.component": step.component, "step.outcome": end.outcome.value})
        if end.outcome is Outcome.FAILED:
            span.set_status(Status(StatusCode.ERROR, end.why))
        return end


def _run(step: Step, blocker: str | None, clock: Clock) -> Finished:
    began = clock.monotonic()
    if blocker:
        return Finished(step, Outcome.SKIPPED, f"{blocker} failed", began, began)
    try:
        finding = step.check()
        if not finding.done:
            step.act()
    except Exception as error:  # noqa: BLE001 - the caller decides what is fatal
        return Finished(step, Outcome.FAILED, _reason(error), began, clock.monotonic(), error)
    outcome = Outcome.UNCHANGED if finding.done else Outcome.CHANGED
    return Finished(step, outcome, finding.why, began, clock.monotonic())


def _reason(error: Exception) -> str:
    """An operator's error speaks for itself; a defect of ours also needs its kind."""
    if isinstance(error, OpsError):
        return error.message
    return f"{type(error).__name__}: {error}"


def _by_name(steps: Iterable[Step]) -> dict[str, Step]:
    by_name: dict[str, Step] = {}
    for step in steps:
        if step.name in by_name:
            raise ValueError(f"two steps are named {step.name}")
        by_name[step.name] = step
    return by_name


def _sorter(by_name: dict[str, Step]) -> TopologicalSorter[str]:
    for step in by_name.values():
        for need in step.needs:
            if need not in by_name:
                raise ValueError(f"{step.name} needs {need}, which is no step")
    return TopologicalSorter({step.name: step.needs for step in by_name.values()})
