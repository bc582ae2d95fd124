"""mongo-shard-offline."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo import nodes
from mongo.drill_checks import BOUNDED
from mongo.drills.common import drill, refused, scene, settings_of, spared, stream
from mongo.faults.shard_kill import shard_kill

# Shorter than any restart and election: what is sent before the undo cannot be served after it.
WITHIN = 1.0


def _shard_offline(context: Context) -> Drill:
    here, promise = scene(context), refused(context)
    made = drill(
        here,
        SHARD_OFFLINE,
        streams=(
            stream(context, here.shard, promise, retries=True, within=WITHIN),
            stream(context, here.shard, promise, retries=False, within=WITHIN),
            *spared(here),
        ),
        stages=(Stage(partial(shard_kill, context, here.hurt)),),
        effect=Effect.ANY,  # whoever stands first after the restart
        timings=Timings(
            phase=here.timings.heartbeat_interval, hold=2 * here.timings.election_timeout
        ),
    )
    left = nodes.shards(context)[1:]  # a set without any member cannot say how it is set
    return replace(
        made,
        settings=partial(settings_of, context, left),
        checks=(*made.checks, BOUNDED),
    )


def _one_segment(context: Context) -> str:
    segments = context.topology.mongo.segments
    return "there is one segment: no other one to stay untouched" if len(segments) < 2 else ""


SHARD_OFFLINE = DrillSpec(
    name="mongo-shard-offline",
    hypothesis="When a whole shard is gone, the other segments feel nothing, writes to its own "
    "end in an error within their deadline, and all is back, and nothing lost, after its restart.",
    fault="SIGKILL of every member of the first shard",
    must_hold="the other segments are untouched, errors are bounded in time, nothing is lost",
    seconds=50,
    build=_shard_offline,
    needs=(CanKill,),
    tags=frozenset({"mongo"}),
    skip=_one_segment,
)
