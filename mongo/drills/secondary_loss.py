"""mongo-secondary-loss."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo.drills.common import both_ways, calm, drill, no_second, scene, spared, untouched
from mongo.faults.secondary_kill import secondary_kill


def _secondary_loss(context: Context) -> Drill:
    here = scene(context)
    return drill(
        here,
        SECONDARY_LOSS,
        streams=(*calm(*both_ways(here, untouched(here.timings))), *spared(here)),
        stages=(Stage(partial(secondary_kill, context, here.hurt)),),
        effect=Effect.SAME_LEADER,
        timings=Timings(
            phase=here.timings.heartbeat_interval,
            hold=2 * here.timings.election_timeout,  # an election would have come by then
        ),
    )


SECONDARY_LOSS = DrillSpec(
    name="mongo-secondary-loss",
    hypothesis="When one of a shard's secondaries dies, a majority is left: its primary stays, "
    "majority writes go on, and nothing is lost.",
    fault="SIGKILL of one of the first shard's secondaries",
    must_hold="no outage, no election",
    seconds=45,
    build=_secondary_loss,
    needs=(CanKill,),
    tags=frozenset({"mongo"}),
    skip=no_second,
)
