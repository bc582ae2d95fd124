"""What a run amounts to, as plain values: for the screen, for JSON, for a history."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from cluster.drill.checkers.alerts import Detection, detections
from cluster.drill.contracts import Availability, Prediction, Promise
from cluster.drill.evidence import VERDICT
from cluster.drill.measures import Latency, Measures, StreamMeasures
from cluster.drill.verdict import Conclusion, Finding, Verdict
from cluster.files import write_atomic

T = TypeVar("T")
SHOWN_IDS = 1000


@dataclass(frozen=True)
class Down:
    """An outage, seconds after the fault; `until` is None if it lasted until the load ended."""

    since: float
    until: float | None


@dataclass(frozen=True)
class Compared:
    """What was acknowledged against what was read back; see `checkers.sets.Sets`.

    `rpo` is in seconds; `unprotected` of the `lost` were acknowledged without a synchronous
    standby; `defects` are the ids of all that is wrong, up to 1000 of each kind.
    """

    read: int
    lost: int
    unprotected: int
    rpo: float
    recovered: int
    phantom: int
    duplicate: int
    resurrected: int
    defects: tuple[int, ...]


@dataclass(frozen=True)
class StreamSummary:
    """A stream; times are seconds, its stamps count from the fault or, where `after_undo`, undo.

    `compared` is None where the stream was not read back.
    """

    name: str
    group: str
    promise: Promise
    intended: int
    acked: int
    failed: int
    unknown: int
    unsent: int
    retries: int
    compared: Compared | None
    after_undo: bool
    first_success: float | None
    sustained: float | None
    outages: tuple[Down, ...]
    unprotected: float
    acked_unprotected: int
    latency_before: Latency | None
    errors: tuple[tuple[str, int], ...]  # reasons and how often, the most frequent first


@dataclass(frozen=True)
class PhaseSummary:
    """When a phase began, seconds after the run did, and how long it took (None: the last)."""

    name: str
    began: float
    seconds: float | None


@dataclass(frozen=True)
class Stamps:
    """The RTO's four, seconds from the proved injection; the streams' are the slowest stream's."""

    detected: float | None
    elected: float | None
    first_success: float | None
    sustained: float | None


@dataclass(frozen=True)
class RunSummary:
    """A run."""

    run: str
    drill: str
    hypothesis: str
    folder: Path
    began: datetime
    tool: str
    seed: int
    phase_offset: float
    conclusion: Conclusion
    exit_code: int
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    not_undone: tuple[str, ...]
    interrupted: bool  # somebody stopped it: no other drill should follow
    faults: tuple[tuple[str, str], ...]  # with what proved them
    stamps: Stamps
    prediction: Prediction
    streams: tuple[StreamSummary, ...]
    phases: tuple[PhaseSummary, ...]
    versions: dict[str, str]
    notes: tuple[str, ...]
    alerts: tuple[Detection, ...] = ()  # time to detect by alert, where monitoring was up


def summarise(measures: Measures, verdict: Verdict) -> RunSummary:
    """Everything that a report needs. A measure that cannot be computed is left out, not raised."""
    config, timeline = measures.run.config, measures.run.timeline
    streams = tuple(filter(None, (_or_none(stream_summary, each) for each in measures.streams)))
    return RunSummary(
        run=config.run,
        drill=config.drill,
        hypothesis=config.hypothesis,
        folder=measures.run.folder,
        began=config.began,
        tool=config.tool,
        seed=config.seed,
        phase_offset=config.phase_offset,
        conclusion=verdict.conclusion,
        exit_code=verdict.exit_code,
        reasons=verdict.reasons,
        findings=verdict.findings,
        not_undone=verdict.not_undone,
        interrupted=bool(timeline.interrupted),
        faults=tuple((injection.fault, injection.proof) for injection in timeline.injections),
        stamps=_stamps(measures, streams),
        prediction=config.prediction,
        streams=streams,
        phases=_phases(measures),
        versions=timeline.versions,
        notes=timeline.notes,
        alerts=detections(timeline),
    )


def write_summary(summary: RunSummary) -> None:
    """Put it into the run's folder."""
    write_atomic(summary.folder / VERDICT, as_json(summary) + "\n", mode=0o640)


def as_json(summary: RunSummary) -> str:
    """The summary as JSON."""
    return _adapter().dump_json(summary, indent=2).decode()


@cache
def _adapter() -> TypeAdapter[RunSummary]:
    return TypeAdapter(RunSummary)  # a tenth of a second each time


def stream_summary(stream: StreamMeasures) -> StreamSummary:
    """One stream of a run. Raises where a measure cannot be computed."""
    config, counts = stream.config, stream.counts
    return StreamSummary(
        name=config.name,
        group=config.group,
        promise=config.promise,
        intended=len(stream.history),
        acked=counts.acked,
        failed=counts.failed,
        unknown=counts.unknown,
        unsent=counts.unsent,
        retries=stream.retries,
        compared=_compared(stream),
        after_undo=config.promise.availability is Availability.RESTORED_AFTER_UNDO,
        first_success=stream.since_origin(stream.first_success_ns),
        sustained=stream.since_origin(stream.sustained_ns),
        outages=_outages(stream),
        unprotected=stream.exposure.seconds,
        acked_unprotected=stream.exposure.acked,
        latency_before=stream.latency_before,
        errors=tuple(sorted(stream.errors.items(), key=lambda pair: -pair[1])),
    )


def _compared(stream: StreamMeasures) -> Compared | None:
    sets, loss = stream.sets, stream.loss
    if sets is None or loss is None:
        return None
    return Compared(
        read=sets.read,
        lost=loss.count,
        unprotected=loss.unprotected,
        rpo=loss.seconds,
        recovered=sets.recovered,
        phantom=len(sets.phantom),
        duplicate=len(sets.duplicate),
        resurrected=len(sets.resurrected),
        defects=sets.defects(SHOWN_IDS),
    )


def _outages(stream: StreamMeasures) -> tuple[Down, ...]:
    whole = stream.whole
    return tuple(
        Down(whole.since_fault(outage.start_ns) or 0.0, whole.since_fault(outage.end_ns))
        for outage in stream.outages
    )


def _stamps(measures: Measures, streams: tuple[StreamSummary, ...]) -> Stamps:
    hurt = [
        stream
        for stream in streams
        if stream.group == measures.run.config.group
        and stream.promise.availability is Availability.RESTORED
    ]
    return Stamps(
        measures.since_fault(measures.detected_ns),
        measures.since_fault(measures.elected_ns),
        _slowest([stream.first_success for stream in hurt]),
        _slowest([stream.sustained for stream in hurt]),
    )


def _slowest(stamps: list[float | None]) -> float | None:
    """The latest; None if one never came, or there are none."""
    known = [stamp for stamp in stamps if stamp is not None]
    return max(known) if known and len(known) == len(stamps) else None


def _phases(measures: Measures) -> tuple[PhaseSummary, ...]:
    phases = measures.run.timeline.phases
    ends = [began for _, began in phases[1:]] + [None]
    return tuple(
        PhaseSummary(
            phase, (began - phases[0][1]) / 1e9, None if end is None else (end - began) / 1e9
        )
        for (phase, began), end in zip(phases, ends, strict=False)
    )


def _or_none(compute: Callable[[StreamMeasures], T], stream: StreamMeasures) -> T | None:
    try:
        return compute(stream)
    except Exception:  # noqa: BLE001 - the checker that needs it has said so in the verdict
        return None
