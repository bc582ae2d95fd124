"""service-instance-kill."""

from functools import partial
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Fault, Seen, Stage, Timings
from cluster.faults.kill import KillServers
from cluster.target import CanKill
from manifests.services import places
from manifests.services.executor import MOST
from manifests.services.model import GATEWAY
from skillswap_ops.engines import instance_servers
from skillswap_ops.service_drills.checks import IN_FLIGHT
from skillswap_ops.service_drills.common import (
    GOOD_WITHIN,
    chain,
    chat,
    drill,
    not_deployed,
    pay,
    shard_of,
    untouched,
)

BETWEEN = 5.0  # seconds: the proxies have taken the first one out by then
HELD = 10.0


def one_instance(context: Context, service: str, _seen: Seen, chance: Random) -> Fault:
    """Any instance of a service."""
    names = {places.instance_name(service, number) for number in range(1, MOST + 1)}
    victim = chance.choice([one for one in instance_servers(context) if one.node.name in names])
    return KillServers(context.target, victim.name, (victim,))


def _instance_kill(context: Context) -> Drill:
    promise = untouched(GOOD_WITHIN)
    return drill(
        context,
        INSTANCE_KILL,
        group=shard_of(context, "SESSION").name,
        streams=(chain(context, promise), chat(context, promise), pay(context, promise)),
        stages=(
            Stage(partial(one_instance, context, "sessions")),
            Stage(partial(one_instance, context, GATEWAY), after=BETWEEN),
        ),
        effect=Effect.SAME_LEADER,
        timings=Timings(hold=HELD, recover_within=HELD),
        checks=(IN_FLIGHT,),
    )


INSTANCE_KILL = DrillSpec(
    name="service-instance-kill",
    hypothesis="When an instance of sessions dies, and then one of the gateway, the proxies send "
    "their requests to the others: nothing fails but what the dead ones were at.",
    fault="SIGKILL of one instance of sessions, then of one of the gateway",
    must_hold="no failed request beyond those in flight on it; no orphan, no duplicate",
    seconds=60,
    build=_instance_kill,
    needs=(CanKill,),
    tags=frozenset({"services"}),
    skip=not_deployed,
)
