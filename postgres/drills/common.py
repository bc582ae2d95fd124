"""What PostgreSQL's drills share: streams, promises, healers, and the parts that are all alike."""

from collections.abc import Sequence
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Healer,
    Prediction,
    Promise,
    Stage,
    Stream,
    Timings,
)
from cluster.errors import OpsError
from cluster.faults import healers as generic
from postgres import forecast, names, patroni
from postgres.drills.old_timeline import keep_old_timeline
from postgres.faults.archive_outage import OPEN_ARCHIVE, open_archive
from postgres.faults.destroyed_data import RESTORE_TO, restore_to
from postgres.faults.flipped_byte import UNFLIP, unflip
from postgres.faults.region_lost import REGION_BACK, region_back
from postgres.faults.switchover import SETTLE_SWITCHOVER, settle_switchover
from postgres.faults.synchronous_off import SYNCHRONOUS_AGAIN, synchronous_again
from postgres.observer import ScopeObserver
from postgres.scopes import Scope, primary_scope
from postgres.servers import servers
from postgres.wholeness import effective_settings, missing, versions
from postgres.writer import LedgerTable, WritePath

WITHIN = 5.0  # seconds until a writer gives an operation up

POOLED = WritePath("pooled", names.POOLED_PORT, WITHIN)
FRESH = WritePath("fresh", names.POOLED_PORT, WITHIN, fresh=True)
KEPT = WritePath("kept", names.POOLED_PORT, WITHIN, keeps=True)
KEPT_DIRECT = WritePath("kept_direct", names.DIRECT_PORT, WITHIN, keeps=True)
STRAIGHT = WritePath("straight", names.POSTGRES_PORT, WITHIN, straight=True)
# Many sessions that each write but every ten seconds: most of them are idle during a switchover,
# see nothing of it, and are stale after it.
RATES = {POOLED: 50.0, FRESH: 5.0, KEPT: 2.0, KEPT_DIRECT: 2.0, STRAIGHT: 20.0}  # a second
WORKERS = {POOLED: 8, FRESH: 6, KEPT: 20, KEPT_DIRECT: 20, STRAIGHT: 4}


def healers(context: Context) -> dict[str, Healer]:
    """How PostgreSQL's faults are undone; asks nothing of the cluster, which may be down."""
    return {
        **generic.healers(context.target, servers(context)),
        OPEN_ARCHIVE: open_archive(context),
        REGION_BACK: region_back(context),
        RESTORE_TO: restore_to(context),
        SETTLE_SWITCHOVER: settle_switchover(context),
        SYNCHRONOUS_AGAIN: synchronous_again(context),
        UNFLIP: unflip(context),
    }


# What is promised


def restored(context: Context) -> Promise:
    """Service is back within the RTO, and nothing that was acknowledged is lost."""
    sla = context.topology.sla.postgres
    return Promise(Availability.RESTORED, rto=sla.rto, rpo=sla.rpo)


def untouched(context: Context) -> Promise:
    """No outage: a stall that Patroni itself has patience with is the shared machine's."""
    patience = float(context.topology.postgres.timings.retry_timeout)
    return Promise(Availability.UNTOUCHED, rto=patience, rpo=context.topology.sla.postgres.rpo)


def stream(context: Context, scope: Scope, path: WritePath, promise: Promise) -> Stream:
    """One way of writing, held to `promise`."""
    return Stream(
        name=f"{scope.name} {path.label.replace('_', ' ')}",
        group=scope.name,
        store=LedgerTable(context, path),
        rate=RATES[path],
        workers=WORKERS[path],
        write_within=path.within,
        promise=promise,
    )


def streams(context: Context, scope: Scope, promise: Promise | None = None) -> tuple[Stream, ...]:
    """The application's load: pooled, and beside it a new connection for every write."""
    promised = promise or restored(context)
    return tuple(stream(context, scope, path, promised) for path in (POOLED, FRESH))


# What is the same in all


def timings(
    context: Context, *, hold: float = 0.0, recover_within: float = 180.0, after: float = 3.0
) -> Timings:
    """The fault meets Patroni at any point of its own round."""
    return Timings(
        phase=float(context.topology.postgres.timings.loop_wait),
        hold=hold,
        recover_within=recover_within,
        after=after,
    )


def drill(
    context: Context,
    spec: DrillSpec,
    *,
    stages: Sequence[Stage],
    effect: Effect = Effect.NEW_LEADER,
    load: Sequence[Stream] | None = None,
    times: Timings | None = None,
    checks: Sequence[str] = (),
) -> Drill:
    """A drill on the scope that takes the writes; what is particular to one is replaced in it."""
    scope = primary_scope(context)
    return Drill(
        name=spec.name,
        hypothesis=spec.hypothesis,
        group=scope.name,
        streams=streams(context, scope) if load is None else tuple(load),
        observers=(ScopeObserver(context, scope),),
        stages=tuple(stages),
        healers=healers(context),
        preflight=partial(missing, context),
        converged=partial(first_missing, context),
        settings=partial(effective_settings, context),
        versions=partial(versions, context),
        effect=effect,
        prediction=predicted(context, spec, scope),
        timings=times or timings(context),
        preserve=partial(keep_old_timeline, context, scope),
        checks=tuple(checks),
    )


def predicted(context: Context, spec: DrillSpec, scope: Scope) -> Prediction:
    """What `drill predict` says of the drill; nothing where no outage is expected."""
    simulate = forecast.SIMULATIONS.get(spec.name)
    if simulate is None:
        return Prediction()
    live = patroni.config(patroni.leader_of(scope))
    return simulate(live, context.topology.edge.checks).prediction


def first_missing(context: Context) -> str | None:
    """What is still missing of a whole cluster."""
    try:
        return next(iter(missing(context)), None)
    except OpsError as error:
        return error.message
