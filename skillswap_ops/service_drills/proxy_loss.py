"""services-proxy-loss: edge-proxy-loss, seen from the users and from the services."""

from functools import partial
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Fault, Seen, Stage, Timings
from cluster.faults.kill import KillServers
from cluster.target import CanKill
from postgres.drills.proxy_loss import PROXY_LOSS as OF_POSTGRES
from postgres.faults.edge_kill import one_proxy
from postgres.scopes import primary_scope
from skillswap_ops.engines import proxy_servers
from skillswap_ops.service_drills.common import (
    WITHIN,
    chain,
    chat,
    drill,
    not_deployed,
    pay,
    untouched,
)

BETWEEN = 10.0  # seconds: whoever used the lost proxy has settled on the other by then
HELD = 20.0


def one_web_proxy(context: Context, _seen: Seen, chance: Random) -> Fault:
    """Any of the services' own proxies."""
    victim = chance.choice(proxy_servers(context))
    return KillServers(context.target, victim.name, (victim,))


def _proxy_loss(context: Context) -> Drill:
    checks = context.topology.edge.checks
    promise = untouched(checks.inter * checks.fall + WITHIN)
    return drill(
        context,
        PROXY_LOSS,
        group=primary_scope(context).name,
        streams=(chain(context, promise), chat(context, promise), pay(context, promise)),
        stages=(
            Stage(partial(one_proxy, context)),
            Stage(partial(one_web_proxy, context), after=BETWEEN),
        ),
        effect=Effect.SAME_LEADER,
        timings=Timings(hold=HELD, recover_within=HELD),
    )


def _skip(context: Context) -> str:
    return not_deployed(context) or OF_POSTGRES.skip(context)


PROXY_LOSS = DrillSpec(
    name="services-proxy-loss",
    hypothesis="When one of PostgreSQL's proxies dies, and then one of the services' own, clients "
    "and services use the other.",
    fault="SIGKILL of one of PostgreSQL's HAProxies, then of one of the services' own",
    must_hold="users and services use the other way, nothing lost, no orphan, no duplicate",
    seconds=75,
    build=_proxy_loss,
    needs=(CanKill,),
    tags=frozenset({"services", "postgres", "edge"}),
    skip=_skip,
)
