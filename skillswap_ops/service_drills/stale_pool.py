"""services-stale-pool: edge-stale-pool, seen from the services' own connection pools."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from postgres import patroni
from postgres.drills.old_timeline import keep_old_timeline
from postgres.drills.stale_pool import STALE_POOL as OF_POSTGRES
from postgres.faults.switchover import switchover
from postgres.scopes import primary_scope
from skillswap_ops.service_drills.common import chain, drill, not_deployed, pay, restored
from skillswap_ops.service_drills.forecast import planned


def _stale_pool(context: Context) -> Drill:
    scope = primary_scope(context)
    made = drill(
        context,
        STALE_POOL,
        group=scope.name,
        streams=(pay(context, restored(context)), chain(context, restored(context))),
        stages=(Stage(partial(switchover, context, scope)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=float(context.topology.postgres.timings.loop_wait)),
    )
    live = patroni.config(patroni.leader_of(scope))
    return replace(
        made,
        preserve=partial(keep_old_timeline, context, scope),
        prediction=planned(live, context.topology.edge.checks).prediction,
    )


def _skip(context: Context) -> str:
    return not_deployed(context) or OF_POSTGRES.skip(context)


STALE_POOL = DrillSpec(
    name="services-stale-pool",
    hypothesis="After a switchover the payments service's pooled connections write again, and "
    "sessions that were proposed meanwhile get their payment.",
    fault="switchover under the services' pools",
    must_hold="payments are back within the RTO, nothing lost, no orphan, no duplicate",
    seconds=65,
    build=_stale_pool,
    tags=frozenset({"services", "postgres", "edge"}),
    skip=_skip,
)
