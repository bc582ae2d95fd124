"""mongo-slow-primary.

A primary that is slow still answers heartbeats, so nobody stands against it: this is the fault that
a replica set does not see. The drill does what an operator does about it, after the time that an
alert takes: it steps the primary down. Writes must be as before while the old primary is slow yet.
"""

from dataclasses import dataclass, replace
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Fault, Seen, Stage, Timings
from cluster.target import CanThrottle
from mongo.drills.common import both_ways, drill, no_second, restored, scene, spared
from mongo.faults.slow_member import SHARE, slow_primary
from mongo.faults.stepdown import StepDown
from mongo.faults.who import primary_of, written_to_primary
from mongo.nodes import SetNodes

NOTICED_SECONDS = 15.0  # until somebody has seen it, and acts


@dataclass
class SlowedOne:
    """Chooses who is slowed, and then that one again: it may be too slow to say that it leads."""

    context: Context
    hurt: SetNodes
    name: str = ""

    def slow(self, seen: Seen, chance: Random) -> Fault:
        """Slow whoever leads. Raises InconclusiveError where nobody does."""
        self.name = primary_of(self.hurt.name, seen)
        return slow_primary(self.context, self.hurt, seen, chance)

    def step_down(self, seen: Seen, _chance: Random) -> Fault:
        """Step it down. Raises InconclusiveError where its set has replaced it by itself."""
        if seen[self.hurt.name].leaders:
            written_to_primary(self.hurt.name, seen, self.name)
        return StepDown(self.context, self.context.inventory.named(self.name))


def _slow_primary(context: Context) -> Drill:
    here = scene(context)
    # The election is not the set's own: it comes when somebody asks for it.
    promise = replace(restored(context), election=None)
    slowed = SlowedOne(context, here.hurt)
    return drill(
        here,
        SLOW_PRIMARY,
        streams=(*both_ways(here, promise), *spared(here)),
        stages=(
            Stage(slowed.slow),
            Stage(slowed.step_down, after=NOTICED_SECONDS),
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
