"""Everything that there is to know of a drill before it is run."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Observation,
    Observer,
    Prediction,
    Promise,
    Timings,
)
from cluster.errors import OpsError, UnreachableError
from skillswap_ops.drill_alerts import BY_DRILL
from skillswap_ops.drilling import why_skipped


@dataclass(frozen=True)
class PlannedFault:
    """What would be broken if the drill began now, and the kind of undo that the journal names."""

    name: str
    undo: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Load:
    """A stream; `rate` in operations a second."""

    name: str
    group: str
    rate: float
    workers: int
    promise: Promise


@dataclass(frozen=True)
class OnCluster:
    """What the live cluster adds: it was asked, and nothing was broken."""

    unmet: tuple[str, ...]
    faults: tuple[PlannedFault, ...]
    streams: tuple[Load, ...]
    checks: tuple[str, ...]
    settings: dict[str, str]
    timings: Timings
    prediction: Prediction


@dataclass(frozen=True)
class Card:
    """A drill; `live` is None where there is no cluster to ask, and `not_live` says why."""

    name: str
    hypothesis: str
    fault: str
    must_hold: str
    seconds: float
    tags: tuple[str, ...]
    needs: tuple[str, ...]
    skipped: str
    sla: dict[str, str]
    alerts: tuple[str, ...]  # that must fire, where monitoring is up
    live: OnCluster | None
    not_live: str


def card(context: Context, spec: DrillSpec) -> Card:
    """Everything of a drill; asks the cluster, if there is one that answers."""
    live, not_live = _ask(context, spec)
    return Card(
        name=spec.name,
        hypothesis=spec.hypothesis,
        fault=spec.fault,
        must_hold=spec.must_hold,
        seconds=spec.seconds,
        tags=tuple(sorted(spec.tags)),
        needs=tuple((need.__doc__ or need.__name__).splitlines()[0] for need in spec.needs),
        skipped=why_skipped(context, spec),
        sla=_sla(context, spec),
        alerts=BY_DRILL.get(spec.name, ()),
        live=live,
        not_live=not_live,
    )


def promised(promise: Promise) -> str:
    """A promise in words."""
    words = {
        Availability.RESTORED: f"restored within {promise.rto:g} s of the fault",
        Availability.RESTORED_AFTER_UNDO: f"restored within {promise.rto:g} s of the undo",
        Availability.UNTOUCHED: f"never down for longer than {promise.rto:g} s",
        Availability.REFUSED: "refused while the fault is in place",
        Availability.UNJUDGED: "measured, not judged",
    }
    parts = [words[promise.availability], _loss(promise)]
    if promise.election is not None:
        parts.append(f"elected within {promise.election:g} s")
    if promise.refuses:
        parts.append("nothing acknowledged while the fault is in place")
    if promise.flawless:
        parts.append("no error at all")
    return "; ".join(parts)


def _loss(promise: Promise) -> str:
    if promise.must_lose:
        return "a control: must lose" + (f", at most {promise.rpo:g} s" if promise.rpo else "")
    return f"at most {promise.rpo:g} s lost" if promise.rpo else "no acknowledged write lost"


def _sla(context: Context, spec: DrillSpec) -> dict[str, str]:
    sla = context.topology.sla
    mongo = f"RPO {sla.mongo.rpo:g} s, RTO {sla.mongo.rto:g} s, election {sla.mongo.election:g} s"
    postgres = f"RPO {sla.postgres.rpo:g} s, RTO {sla.postgres.rto:g} s"
    all_of_them = {"mongo": ("MongoDB", mongo), "postgres": ("PostgreSQL", postgres)}
    return dict(pair for tag, pair in all_of_them.items() if tag in spec.tags)


def _ask(context: Context, spec: DrillSpec) -> tuple[OnCluster | None, str]:
    if not context.layout.topology.exists():
        return None, f"there is no cluster {context.topology.name} to ask"
    try:
        drill = spec.build(context)
        try:
            return _on_cluster(drill), ""
        finally:
            for observer in drill.observers:
                observer.close()
    except OpsError as error:
        return None, error.message


def _on_cluster(drill: Drill) -> OnCluster:
    return OnCluster(
        unmet=tuple(drill.preflight()),
        faults=tuple(_faults(drill)),
        streams=tuple(
            Load(each.name, each.group, each.rate, each.workers, each.promise)
            for each in drill.streams
        ),
        checks=drill.checks,
        settings=dict(drill.settings()),
        timings=drill.timings,
        prediction=drill.prediction,
    )


def _faults(drill: Drill) -> Iterable[PlannedFault]:
    """What would be chosen now, each stage on the cluster as it is; of a soak, its whole pool."""
    seen = {observer.group: _sample(observer) for observer in drill.observers}
    pool = drill.rounds.pool if drill.rounds else ()
    for stage in (*drill.stages, *(stage for each in pool for stage in each.stages)):
        try:
            fault = stage.choose(seen, Random(0))  # noqa: S311 - an example, no secret
        except OpsError as error:
            yield PlannedFault(f"nothing: {error.message}", "none", ())
        else:
            yield PlannedFault(fault.name, fault.undo.kind, fault.undo.targets)


def _sample(observer: Observer) -> Observation:
    try:
        return observer.sample()
    except UnreachableError as error:
        return Observation(detail=error.message)
