"""mongo-majority-loss."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo.drills.common import drill, no_second, refused, scene, spared, stream
from mongo.faults.majority_kill import majority_kill

# Shorter than any restart and election: what is sent before the undo cannot be served after it.
WITHIN = 1.0


def _majority_loss(context: Context) -> Drill:
    here, promise = scene(context), refused(context)
    return drill(
        here,
        MAJORITY_LOSS,
        streams=(
            stream(context, here.shard, promise, retries=True, within=WITHIN),
            stream(context, here.shard, promise, retries=False, within=WITHIN),
            *spared(here),
        ),
        stages=(Stage(partial(majority_kill, context, here.hurt)),),
        # The one that is left may be the primary, and be it again: not a fixed change of leader.
        effect=Effect.ANY,
        timings=Timings(
            phase=here.timings.heartbeat_interval,
            hold=3 * here.timings.election_timeout,  # the rest steps down, and stands in vain
        ),
    )


MAJORITY_LOSS = DrillSpec(
    name="mongo-majority-loss",
    hypothesis="When most of a shard's members die at once, the rest acknowledges nothing; when "
    "they are back, so is service, and nothing that was acknowledged before is lost.",
    fault="SIGKILL of so many of the first shard's members that no majority is left",
    must_hold="refuses, loses nothing, back after the restart",
    seconds=55,
    build=_majority_loss,
    needs=(CanKill,),
    tags=frozenset({"mongo"}),
    skip=no_second,
)
