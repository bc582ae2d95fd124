"""mongo-primary-isolated."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Promise,
    Stage,
    Timings,
)
from cluster.target import CanIsolate
from mongo.drills.common import (
    WRITE_SECONDS,
    both_ways,
    drill,
    member_stream,
    no_second,
    restored,
    scene,
    spared,
)
from mongo.drills.ways import MemberStore
from mongo.faults.primary_isolation import primary_isolation
from mongo.writer import WritePath

HELD_SECONDS = 20.0  # beyond the old primary's own stepping down and the new one's election


def _primary_isolated(context: Context) -> Drill:
    here = scene(context)
    path = WritePath(here.shard.segment, "member", retries=False, within=WRITE_SECONDS)
    member = MemberStore(context, path, here.hurt)
    minority = member_stream(here, member, path, Promise(Availability.REFUSED))
    return drill(
        here,
        PRIMARY_ISOLATED,
        streams=(*both_ways(here, restored(context)), minority, *spared(here)),
        stages=(Stage(partial(primary_isolation, context, here.hurt, lambda: member.member)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval, hold=HELD_SECONDS),
    )


PRIMARY_ISOLATED = DrillSpec(
    name="mongo-primary-isolated",
    hypothesis="A primary that is cut from its peers, and not from clients and routers, "
    "acknowledges no majority write; the others elect a new one, and nothing is lost.",
    fault="partition between the first shard's primary and its other members",
    must_hold="no majority acknowledgement from the minority side, never two writable primaries",
    seconds=80,
    build=_primary_isolated,
    needs=(CanIsolate,),
    tags=frozenset({"mongo", "failover", "quarterly"}),
    skip=no_second,
)
