"""edge-proxy-loss."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Effect, Promise, Stage
from cluster.target import CanKill
from postgres.drills.common import WITHIN, drill, streams, timings
from postgres.drills.skips import lone_proxy
from postgres.faults.edge_kill import one_proxy, pool_of_leader
from postgres.scopes import primary_scope

BETWEEN = 10.0  # seconds: the clients of the lost proxy have settled on the other by then
HOLD = 25.0  # seconds without the pool: far more than the proxies need to notice


def proxy_loss(context: Context) -> Drill:
    """Kill a proxy, then the pool beside the leader."""
    scope = primary_scope(context)
    return drill(
        context,
        PROXY_LOSS,
        stages=[
            Stage(partial(one_proxy, context)),
            Stage(partial(pool_of_leader, context, scope), after=BETWEEN),
        ],
        effect=Effect.SAME_LEADER,
        load=streams(context, scope, _noticed(context)),
        times=timings(context, hold=HOLD, recover_within=HOLD),
    )


def _noticed(context: Context) -> Promise:
    """No outage longer than the proxies' checks need, and a client to connect again."""
    checks, sla = context.topology.edge.checks, context.topology.sla.postgres
    return Promise(Availability.UNTOUCHED, rto=checks.inter * checks.fall + WITHIN, rpo=sla.rpo)


PROXY_LOSS = DrillSpec(
    name="edge-proxy-loss",
    hypothesis="Clients of a lost proxy use the other one; without the leader's pool they are "
    "led to PostgreSQL itself.",
    fault="SIGKILL one HAProxy, then the pgbouncer beside the primary",
    must_hold="clients use the other way, nothing lost",
    seconds=75,
    build=proxy_loss,
    needs=(CanKill,),
    skip=lone_proxy,
    tags=frozenset({"postgres", "edge"}),
)
