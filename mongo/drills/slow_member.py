"""mongo-slow-member: a secondary that is slow, and not dead."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanThrottle
from mongo.drills.common import both_ways, calm, drill, no_second, scene, spared, untouched
from mongo.faults.slow_member import SHARE, slow_secondary

HELD_SECONDS = 20.0


def _slow_member(context: Context) -> Drill:
    here = scene(context)
    return drill(
        here,
        SLOW_MEMBER,
        streams=(*calm(*both_ways(here, untouched(here.timings))), *spared(here)),
        stages=(Stage(partial(slow_secondary, context, here.hurt)),),
        effect=Effect.SAME_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval, hold=HELD_SECONDS),
    )


SLOW_MEMBER = DrillSpec(
    name="mongo-slow-member",
    hypothesis="When one of a shard's secondaries is slow, majority writes are acknowledged with "
    "the other one's help, as fast as before.",
    fault=f"one of the first shard's secondaries gets {SHARE:.0%} of its processor time",
    must_hold="no outage, no election, nothing lost",
    seconds=55,
    build=_slow_member,
    needs=(CanThrottle,),
    tags=frozenset({"mongo"}),
    skip=no_second,
)
