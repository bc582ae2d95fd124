"""Runs a drill: the phases in order, healing whatever happens, and the verdict from disk alone."""

import platform
import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.drill.contracts import Availability, Drill, Stream
from cluster.drill.course import Course
from cluster.drill.eventlog import EventLog, Listener
from cluster.drill.events import (
    Interrupted,
    Note,
    Phase,
    Trouble,
)
from cluster.drill.evidence import (
    EVENTS,
    Rules,
    RunConfig,
    StreamConfig,
    load_run,
    new_folder,
    write_config,
)
from cluster.drill.interrupts import Interrupts
from cluster.drill.journal import Journal
from cluster.drill.judge import Check, judge
from cluster.drill.measures import Measures
from cluster.drill.meter import Live
from cluster.drill.publish.folder import Concluded, publish, sweep
from cluster.drill.publish.mask import Mask
from cluster.drill.report import RunSummary, summarise, write_summary
from cluster.drill.rounds import run_rounds
from cluster.drill.verdict import Conclusion
from cluster.errors import OpsError

HARNESS_ERROR = "harness-error.txt"
ROWS_KEPT = "the rows of run {run} were kept in the cluster"


@dataclass(frozen=True)
class Options:
    """How to run; `seed` decides the phase and the targets, `tool` is this program's version.

    `phase` is the fault's, in seconds, where chance shall not decide it. `cluster` names what it
    runs on; none of its `secrets` reaches the evidence.
    """

    seed: int
    tool: str
    rules: Rules = field(default_factory=Rules)
    keep_data: bool = False
    phase: float | None = None
    cluster: str = ""
    secrets: Callable[[], Iterable[str]] = tuple


@dataclass(frozen=True)
class Hooks:
    """What watches the run. `on_event` is called from several threads and must be quick.

    `on_course` is given a function that returns the live counts of the streams.
    """

    on_event: Listener = lambda _: None
    on_course: Callable[[Callable[[], tuple[Live, ...]]], None] = lambda _: None


def run_drill(
    drill: Drill,
    drills: Path,
    options: Options,
    hooks: Hooks = Hooks(),
    checks: Mapping[str, Check] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RunSummary:
    """Run a drill on its cluster, whose lock the caller holds; `drills` is `Layout.drills`.

    Raises RefusedError, before anything, while a fault of an earlier run is in place, and
    ValueError where the drill contradicts itself. Whatever happens afterwards ends in a summary:
    an interruption, an engine's error, a full disk. Its exit code is the command's.
    """
    validate(drill)
    journal = Journal(drills)
    journal.refuse_if_open()
    began = datetime.now(UTC)
    run, chance = secrets.token_hex(4), Random(options.seed)  # noqa: S311 - no secret
    folder = new_folder(drills, drill.name, run, began)
    config = _config(drill, run, began, chance, options)
    mask = Mask(options.secrets())
    write_config(folder, config, mask)
    events = EventLog(folder / EVENTS, time.monotonic_ns, began, hooks.on_event, mask)
    course = Course(drill, run, folder, journal, events, options.rules, chance, clock, mask)
    hooks.on_course(course.live)
    with Interrupts() as interrupts:
        try:
            _run(course, interrupts, config.phase_offset)
        except BaseException:
            course.undo()  # again, where `_run` itself has failed: what is undone stays undone
            raise
        finally:
            course.close()
        for text in sweep(folder, mask):
            course.tell(Note(text=text))
        concluded = conclude_whole(folder, checks)
        concluded = _note(course, concluded, *_discard(course, concluded.summary, options))
        concluded = _note(course, concluded, *publish(concluded, mask))
        summary = concluded.summary
        with suppress(OSError):  # it can be computed again
            write_summary(summary)
        events.close()
    return summary


def conclude(folder: Path, checks: Mapping[str, Check] | None = None) -> RunSummary:
    """Judge a run from its folder alone: what a run ends with, and `drill report RUN --recheck`.

    Raises as `load_run` does.
    """
    return conclude_whole(folder, checks).summary


def conclude_whole(folder: Path, checks: Mapping[str, Check] | None = None) -> Concluded:
    """The same, with the measures that it rests on."""
    measures = Measures(load_run(folder))
    return Concluded(measures, summarise(measures, judge(measures, checks)))


def validate(drill: Drill) -> None:
    """Raises ValueError where the drill contradicts itself."""
    names = [stream.name for stream in drill.streams]
    watched = {observer.group for observer in drill.observers}
    unwatched = {drill.group, *(stream.group for stream in drill.streams)} - watched
    if not 1 <= len(names) <= 254 or len(set(names)) < len(names):
        raise ValueError(f"{drill.name}: stream names must be 1 to 254, each once (got {names})")
    if unwatched:
        raise ValueError(f"{drill.name}: nobody observes {', '.join(sorted(unwatched))}")
    if not drill.stages and not (drill.rounds and drill.rounds.pool):
        raise ValueError(f"{drill.name}: no fault")
    for stream in drill.streams:
        _validate_stream(drill, stream)


def _validate_stream(drill: Drill, stream: Stream) -> None:
    if not (stream.rate > 0 and 1 <= stream.workers <= 255 and stream.good_within > 0):
        raise ValueError(f"{drill.name}: {stream.name}: rate, workers or good_within out of range")
    if stream.promise.availability is Availability.REFUSED and drill.timings.hold <= 0:
        raise ValueError(f"{drill.name}: {stream.name} must be refused, but the fault has no hold")


def _config(drill: Drill, run: str, began: datetime, chance: Random, options: Options) -> RunConfig:
    offset = chance.uniform(0, drill.timings.phase)  # drawn always: the targets stay the seed's
    return RunConfig(
        run=run,
        drill=drill.name,
        hypothesis=drill.hypothesis,
        began=began,
        tool=options.tool,
        seed=options.seed,
        phase_offset=offset if options.phase is None else options.phase,
        group=drill.group,
        effect=drill.effect,
        timings=drill.timings,
        prediction=drill.prediction,
        streams=tuple(
            StreamConfig(
                number=number,
                name=stream.name,
                group=stream.group,
                rate=stream.rate,
                workers=stream.workers,
                good_within=stream.good_within,
                write_within=stream.write_within,
                promise=stream.promise,
            )
            for number, stream in enumerate(drill.streams, start=1)
        ),
        checks=drill.checks,
        rules=options.rules,
        cluster=options.cluster,
        node=platform.node(),
        platform=platform.platform(),
    )


def _run(course: Course, interrupts: Interrupts, offset: float) -> None:
    """The experiment; then, whatever became of it, everything that makes it evidence."""
    try:
        _guarded(course, interrupts, lambda: _experiment(course, offset))
    finally:
        course.undo()
    if course.loaded:
        _guarded(course, interrupts, course.convergence)
        course.stop()
        _guarded(course, interrupts, course.silence)
        _guarded(course, interrupts, course.read_back)
        _guarded(course, interrupts, course.collect)
    course.enter(Phase.END)


def _experiment(course: Course, offset: float) -> None:
    course.preflight()
    course.prepare()
    course.baseline(offset)
    if course.drill.rounds:
        run_rounds(course, course.drill.rounds, course.chance)
        return
    course.fault()
    course.recovery()
    course.preserve()


def _guarded(course: Course, interrupts: Interrupts, phase: Callable[[], None]) -> None:
    """One phase; Ctrl-C or an error ends it, is told, and does not keep the next from running."""
    try:
        with interrupts.heard():
            phase()
    except KeyboardInterrupt as error:
        course.tell(Interrupted(by=str(error) or "Ctrl-C"))
    except OpsError as error:
        course.tell(Trouble(what=error.message))
    except Exception as error:  # noqa: BLE001 - a bug of ours or the engine's: kept as evidence
        course.tell(Trouble(what=f"harness error: {type(error).__name__}: {error}"))
        with suppress(OSError):
            text = traceback.format_exc()
            (course.folder / HARNESS_ERROR).write_text(text, encoding="utf-8")


def _note(course: Course, concluded: Concluded, *notes: str) -> Concluded:
    for text in notes:
        course.tell(Note(text=text))
    return concluded.noted(*notes)


def _discard(course: Course, summary: RunSummary, options: Options) -> tuple[str, ...]:
    """Remove the rows; a failed run's stay where they are, to be looked at. What to note of it."""
    if options.keep_data or summary.conclusion is Conclusion.FAIL:
        return (ROWS_KEPT.format(run=course.run),)
    try:
        course.discard()
    except Exception as error:  # noqa: BLE001 - the verdict stands
        return (f"the rows of run {course.run} could not be removed: {error}",)
    return ()
