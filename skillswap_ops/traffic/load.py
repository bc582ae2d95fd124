"""`services load`: journeys at a steady rate through the public edge, and what became of them.

Its folder is like a drill's, with the same ledger, so that what it says can be computed again.
"""

import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill import judge_streams
from cluster.drill.contracts import Effect, Prediction, Stream, Timings
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Interrupted,
    LoadBegan,
    LoadStopped,
    Overload,
    ReadBack,
    Stall,
)
from cluster.drill.evidence import (
    COLLECTED,
    EVENTS,
    LEDGER,
    Rules,
    RunConfig,
    StreamConfig,
    load_run,
    new_folder,
    write_config,
    write_read_back,
)
from cluster.drill.ledger import LedgerWriter
from cluster.drill.load import Load
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.meter import Live
from cluster.drill.pressure import Gauge
from cluster.drill.recorder import Recorder
from cluster.drill.report import StreamSummary, stream_summary
from cluster.drill.stall import Ticker
from cluster.drill.verdict import Finding, Validity, Verdict, conclude, invalid, unknown, valid
from cluster.errors import OpsError, UnreachableError
from skillswap_ops import __version__
from skillswap_ops.traffic import people
from skillswap_ops.traffic.chain import CLOSED_WITHIN
from skillswap_ops.traffic.chain_checks import CHAINS_FILE, Collected, chains
from skillswap_ops.traffic.journey import STEPS
from skillswap_ops.traffic.world import World

NAME = "services-load"
KEPT = "kept"  # this file in a folder says that its rows are still in the stores
SERVED, STALLS = "served", 0.25
STORING = {step.name for step in STEPS if step.entity}


@dataclass(frozen=True)
class Loaded:
    """What a load showed; streams are the journey's steps, in order."""

    run: str
    seed: int
    rate: float
    seconds: float
    folder: Path
    verdict: Verdict
    streams: tuple[StreamSummary, ...]
    interrupted: bool


@dataclass(frozen=True)
class Wanted:
    """`rate` journeys are begun each second, for so many seconds; `seed` decides who meets whom."""

    rate: float
    seconds: float
    seed: int
    keep_data: bool = False


def drive(
    context: Context,
    folder: Path,
    wanted: Wanted,
    on_course: Callable[[Callable[[], tuple[Live, ...]]], None],
) -> Loaded:
    """Drive journeys; `folder` keeps the evidence of all loads.

    Raises OpsError where not even the teachers can be made. Ctrl-C ends the load, not the report.
    """
    began, run = datetime.now(UTC), secrets.token_hex(4)
    remove_left(context, folder)
    world = World(context, wanted.rate, wanted.seed)
    streams = world.streams()
    for stream in streams:
        stream.store.prepare(run)
    own = new_folder(folder, NAME, run, began)
    write_config(own, _config(context, run, began, wanted, streams))
    events = EventLog(own / EVENTS, time.monotonic_ns, began, lambda _: None)
    try:
        _load(own, run, wanted, streams, events, on_course)
        _read_back(own, world, streams, events)
    finally:
        world.close()
        events.close()
    found = judged(own, wanted)
    if wanted.keep_data or found.verdict.exit_code == 1:
        (own / KEPT).touch()
    else:
        streams[0].store.discard()
    return found


def remove_left(context: Context, folder: Path) -> None:
    """Remove what killed loads have left, but what was kept on purpose."""
    kept = {path.parent.name[-8:] for path in folder.glob(f"runs/*/{KEPT}")}
    for run in people.runs_with_people(context, people.LOAD):
        if run not in kept:
            people.remove(context, run)


def _load(
    folder: Path,
    run: str,
    wanted: Wanted,
    streams: tuple[Stream, ...],
    events: EventLog,
    on_course: Callable[[Callable[[], tuple[Live, ...]]], None],
) -> None:
    def on_stall(source: str, seconds: float) -> None:
        if seconds >= STALLS:
            events.add(Stall(source=source, seconds=seconds))

    def on_overload(share: float, seconds: float) -> None:
        events.add(Overload(share=share, seconds=seconds))

    ledger = LedgerWriter(folder / LEDGER, run)
    load = Load(streams, ledger, Recorder(ledger, events), on_stall)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        ticker = Ticker(on_stall, STALLS)
        gauge = Gauge(on_overload, Rules().overload)
        for watcher in (ticker, gauge):
            watcher.start()
            stack.callback(watcher.stop)
        events.add(LoadBegan(at_ns=load.start()))
        on_course(load.live)
        try:
            _wait(wanted.seconds, load)
        except KeyboardInterrupt:
            events.add(Interrupted(by="Ctrl-C"))
        until, stuck = load.stop()
        events.add(LoadStopped(until_ns=until, stuck=stuck))


def _wait(seconds: float, load: Load) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and load.failure is None:
        time.sleep(0.1)
    if load.failure:
        raise OpsError(f"the load broke off: {load.failure}")


def _read_back(folder: Path, world: World, streams: tuple[Stream, ...], events: EventLog) -> None:
    """What the stores hold, once no chain is open or time is up."""
    try:
        _settled(world)
        world.read()
    except OpsError as error:
        events.add(ReadBack(stream=streams[0].name, error=error.message))
        return
    for number, stream in enumerate(streams, start=1):
        if stream.name in STORING:
            rows = write_read_back(folder, number, stream.store.read_back())
            events.add(ReadBack(stream=stream.name, rows=rows))
    if world.chains:
        (folder / COLLECTED).mkdir(exist_ok=True)
        collected = Collected(streams={"propose": world.chains})
        (folder / COLLECTED / CHAINS_FILE).write_text(collected.model_dump_json(), "utf-8")


def _settled(world: World) -> None:
    try:
        wait_for("open chains", lambda: not world.open_chains(), seconds=CLOSED_WITHIN, every=0.5)
    except UnreachableError:
        return  # what is open yet is a finding


def _config(
    context: Context, run: str, began: datetime, wanted: Wanted, streams: tuple[Stream, ...]
) -> RunConfig:
    return RunConfig(
        run=run,
        drill=NAME,
        hypothesis="Users come through the whole journey, and all that was acknowledged is kept.",
        began=began,
        tool=__version__,
        seed=wanted.seed,
        phase_offset=0.0,
        group="services",
        effect=Effect.ANY,
        timings=Timings(),
        prediction=Prediction(),
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
            for number, stream in enumerate(streams, start=1)
        ),
        cluster=context.topology.name,
        node=platform.node(),
        platform=platform.platform(),
    )


def judged(folder: Path, wanted: Wanted) -> Loaded:
    """What a load's folder says."""
    measures = Measures(load_run(folder))
    verdict = conclude([*_findings(measures)])
    return Loaded(
        run=measures.run.config.run,
        seed=wanted.seed,
        rate=wanted.rate,
        seconds=wanted.seconds,
        folder=folder,
        verdict=verdict,
        streams=tuple(map(stream_summary, measures.streams)),
        interrupted=bool(measures.run.timeline.interrupted),
    )


def _findings(measures: Measures) -> Iterator[Finding]:
    for stream in measures.streams:
        yield served(stream)
        if stream.config.name in STORING and len(stream.history):
            yield from judge_streams.no_loss(stream)
            yield from judge_streams.no_strangers(stream)
    proposed = next(each for each in measures.streams if each.config.name == "propose")
    if proposed.counts.acked:
        yield from chains(measures)


def served(stream: StreamMeasures) -> Finding:
    """As many operations acknowledged as a drill calls service (99 % of those intended)."""
    intended, acked = len(stream.history), stream.counts.acked
    name, percent = stream.config.name, stream.whole.run.config.rules.percent
    text = f"{acked:,} of {intended:,} acknowledged"
    if not intended:
        return unknown(SERVED, "nothing was due: give it more seconds", name)
    if acked * 100 >= percent * intended:
        return valid(SERVED, text, name)
    if stream.whole.doubt:
        return unknown(SERVED, f"{text}, but {stream.whole.doubt}", name)
    return invalid(SERVED, f"{text}, {percent} % is service", name)


def worst(loaded: Loaded) -> tuple[Finding, ...]:
    """The findings that are no pass."""
    return tuple(one for one in loaded.verdict.findings if one.validity is not Validity.VALID)
