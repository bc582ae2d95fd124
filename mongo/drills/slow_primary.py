"""mongo-slow-primary.

A primary that is slow still answers heartbeats, so nobody stands against it: this is the fault that
a replica set does not see. The drill does what an operator does about it, after the time that an
alert takes: it steps the primary down. Writes must be as before while the old primary is slow yet.
"""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanThrottle
from mongo.drills.common import both_ways, drill, no_second, restored, scene, spared
from mongo.faults.slow_member import SHARE, slow_primary
from mongo.faults.stepdown import stepdown

NOTICED_SECONDS = 15.0  # until somebody has seen it, and acts


def _slow_primary(context: Context) -> Drill:
    here = scene(context)
    # The election is not the set's own: it comes when somebody asks for it.
    promise = replace(restored(context), election=None)
    return drill(
        here,
        SLOW_PRIMARY,
        streams=(*both_ways(here, promise), *spared(here)),
        stages=(
            Stage(partial(slow_primary, context, here.hurt)),
            Stage(partial(stepdown, context, here.hurt.name), after=NOTICED_SECONDS),
        ),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval),
    )


SLOW_PRIMARY = DrillSpec(
    name="mongo-slow-primary",
    hypothesis="A primary that is slow and answers heartbeats is not replaced by its set; stepped "
    "down, it hands over, and service is back while it is slow yet, with nothing lost.",
    fault=f"the first shard's primary gets {SHARE:.0%} of its processor time; "
    f"{NOTICED_SECONDS:g} s later it is told to step down",
    must_hold="after the step-down service is back within the SLA's RTO, nothing lost",
    seconds=75,
    build=_slow_primary,
    needs=(CanThrottle,),
    tags=frozenset({"mongo"}),
    skip=no_second,
)
