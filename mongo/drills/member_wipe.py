"""mongo-member-wipe."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanWipe
from mongo.drill_checks import COPIES
from mongo.drills.common import all_of, both_ways, calm, drill, no_second, scene, spared, untouched
from mongo.drills.copies import collect_copies
from mongo.faults.secondary_wipe import secondary_wipe


def _member_wipe(context: Context) -> Drill:
    here = scene(context)
    streams = (*calm(*both_ways(here, untouched(here.timings))), *spared(here))
    made = drill(
        here,
        MEMBER_WIPE,
        streams=streams,
        stages=(Stage(partial(secondary_wipe, context, here.hurt)),),
        effect=Effect.SAME_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )
    compare = partial(collect_copies, context, here.hurt, streams)
    return replace(made, collect=all_of(made.collect, compare), checks=(*made.checks, COPIES))


MEMBER_WIPE = DrillSpec(
    name="mongo-member-wipe",
    hypothesis="When a secondary's disk is replaced by an empty one, it copies everything from its "
    "peers while writes go on, and ends with the same data as they.",
    fault="SIGKILL of one of the first shard's secondaries, and its data folder emptied",
    must_hold="initial sync, equal copies, no outage",
    seconds=45,
    build=_member_wipe,
    needs=(CanWipe,),
    tags=frozenset({"mongo"}),
    skip=no_second,
)
