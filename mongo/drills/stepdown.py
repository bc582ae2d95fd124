"""mongo-stepdown."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from mongo.drills.common import drill, no_second, restored, scene, spared, stream
from mongo.faults.stepdown import stepdown

PATIENT_SECONDS = 10.0  # the driver's deadline for a write with its retries
QUEUED_SECONDS = 5.0  # so long a write may wait for a worker while the others retry
# A write that no worker takes in time counts as an error: there are enough of them for a set that
# takes more than a second for each.
PATIENT_RATE, PATIENT_WORKERS = 20.0, 32


def _stepdown(context: Context) -> Drill:
    here = scene(context)
    promise = replace(restored(context), flawless=True)
    retried = stream(context, here.shard, promise, retries=True, within=PATIENT_SECONDS)
    return drill(
        here,
        STEPDOWN,
        streams=(
            replace(
                retried,
                rate=PATIENT_RATE,
                workers=PATIENT_WORKERS,
                good_within=QUEUED_SECONDS,
            ),
            stream(context, here.shard, restored(context), retries=False),
            *spared(here),
        ),
        stages=(Stage(partial(stepdown, context, here.hurt.name)),),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )


STEPDOWN = DrillSpec(
    name="mongo-stepdown",
    hypothesis="When a shard's primary steps down for maintenance, it hands over to a secondary "
    "that is level with it, and an application with retryable writes meets no error.",
    fault="replSetStepDown of the first shard's primary",
    must_hold="with retryable writes no error reaches the client; nothing is lost",
    seconds=50,
    build=_stepdown,
    tags=frozenset({"mongo", "failover", "quarterly"}),
    skip=no_second,
)
