"""redis-loss."""

from functools import partial
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Fault, Seen, Stage, Timings
from cluster.faults.kill import KillServers
from cluster.target import CanKill
from manifests import redis
from skillswap_ops.service_drills.common import (
    chain,
    chat,
    delivered,
    drill,
    no_redis,
    shard_of,
    skills,
    untouched,
)

HELD = 20.0
# Until the circuit breakers are open a request waits for Redis: a second at most, five times.
HICCUP = 5.0


def all_of_redis(context: Context, _seen: Seen, _chance: Random) -> Fault:
    """Every Redis server."""
    servers = redis.servers(context)
    return KillServers(context.target, ", ".join(one.name for one in servers), servers)


def _redis_loss(context: Context) -> Drill:
    promise = untouched(HICCUP)
    return drill(
        context,
        REDIS_LOSS,
        group=shard_of(context, "MESSAGE").name,
        streams=(
            chat(context, promise),
            delivered(context, promise),
            chain(context, promise),
            skills(context, promise),
        ),
        stages=(Stage(partial(all_of_redis, context)),),
        effect=Effect.SAME_LEADER,
        timings=Timings(hold=HELD, recover_within=HELD),
    )


REDIS_LOSS = DrillSpec(
    name="redis-loss",
    hypothesis="Without Redis, messages that are acknowledged are kept, and reach the other side "
    "by its instance's reading of MongoDB, up to a second later; every other journey goes on.",
    fault="SIGKILL of Redis",
    must_hold="no acknowledged message lost, chat is delivered, the journeys go on",
    seconds=70,
    build=_redis_loss,
    needs=(CanKill,),
    tags=frozenset({"services"}),
    skip=no_redis,
)
