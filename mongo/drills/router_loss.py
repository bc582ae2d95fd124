"""mongo-router-loss."""

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
from cluster.target import CanKill
from mongo.drills.common import drill, fresh_stream, scene, spared, stream
from mongo.faults.router_kill import router_kill

SWITCH_SECONDS = 2.0  # a driver looks at a router again at once when a connection breaks


def _router_loss(context: Context) -> Drill:
    here = scene(context)
    promise = Promise(Availability.UNTOUCHED, rto=SWITCH_SECONDS)
    return drill(
        here,
        ROUTER_LOSS,
        streams=(
            stream(context, here.shard, promise, retries=True),
            stream(context, here.shard, promise, retries=False),
            fresh_stream(context, here.shard, promise),
            *spared(here),
        ),
        stages=(Stage(partial(router_kill, context)),),
        effect=Effect.SAME_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )


def _one_router(context: Context) -> str:
    return "there is one router: no other one to use" if context.topology.mongo.routers < 2 else ""


ROUTER_LOSS = DrillSpec(
    name="mongo-router-loss",
    hypothesis="When a router dies, drivers go on over the other ones: service is never away for "
    f"longer than {SWITCH_SECONDS:g} s, and nothing is lost.",
    fault="SIGKILL of one router",
    must_hold="drivers use the other",
    seconds=50,
    build=_router_loss,
    needs=(CanKill,),
    tags=frozenset({"mongo"}),
    skip=_one_router,
)
