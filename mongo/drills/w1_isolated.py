"""mongo-w1-isolated: the control. It shows that a loss would be seen, and what `w: 1` costs."""

from dataclasses import replace
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
from cluster.schema.guarantees import FAST
from cluster.target import CanIsolate
from mongo.drills.common import (
    WRITE_SECONDS,
    drill,
    member_stream,
    no_second,
    restored,
    scene,
    spared,
    stream,
)
from mongo.drills.ways import MemberStore
from mongo.faults.primary_isolation import primary_isolation
from mongo.writer import WritePath


def _w1_isolated(context: Context) -> Drill:
    here = scene(context)
    rpo = context.topology.sla.mongo.rpo
    path = WritePath(
        here.shard.segment, "member", retries=False, within=WRITE_SECONDS, guarantee=FAST
    )
    member = MemberStore(context, path, here.hurt)
    lossy = Promise(Availability.UNJUDGED, rpo=rpo, must_lose=True)
    fast = replace(restored(context), rpo=rpo)
    return drill(
        here,
        W1_ISOLATED,
        streams=(
            member_stream(here, member, path, lossy),
            stream(context, here.shard, fast, retries=True, guarantee=FAST),
            stream(context, here.shard, restored(context), retries=True),
            *spared(here),
        ),
        stages=(Stage(partial(primary_isolation, context, here.hurt, lambda: member.member)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )


W1_ISOLATED = DrillSpec(
    name="mongo-w1-isolated",
    hypothesis="What an isolated primary acknowledges alone (`w: 1`) is lost: the loss is seen, "
    "counted, inside the RPO, and explained by rollback files; majority writes beside it survive.",
    fault="partition between the first shard's primary and its other members",
    must_hold="the loss at w:1 is seen, every lost write is in a rollback file, RPO within the SLA",
    seconds=60,
    build=_w1_isolated,
    needs=(CanIsolate,),
    tags=frozenset({"mongo", "control"}),
    skip=no_second,
)
