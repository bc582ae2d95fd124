"""mongo-primary-kill."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo.drills.common import both_ways, drill, no_second, restored, scene, spared
from mongo.faults.primary_kill import primary_kill


def _primary_kill(context: Context) -> Drill:
    here = scene(context)
    return drill(
        here,
        PRIMARY_KILL,
        streams=(*both_ways(here, restored(context)), *spared(here)),
        stages=(Stage(partial(primary_kill, context, here.hurt.name)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )


PRIMARY_KILL = DrillSpec(
    name="mongo-primary-kill",
    hypothesis="When a shard's primary dies, its secondaries elect another, and no write that a "
    "majority acknowledged is lost; the other shards feel nothing.",
    fault="SIGKILL of the first shard's primary",
    must_hold="majority acknowledgements survive, the election is inside the SLA",
    seconds=50,
    build=_primary_kill,
    needs=(CanKill,),
    tags=frozenset({"mongo", "failover", "quarterly"}),
    skip=no_second,
)
