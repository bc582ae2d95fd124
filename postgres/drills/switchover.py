"""pg-switchover."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Stage
from postgres.drills.common import drill
from postgres.drills.skips import no_standby
from postgres.faults.switchover import switchover
from postgres.scopes import primary_scope


def planned(context: Context) -> Drill:
    """Ask Patroni for a switchover."""
    scope = primary_scope(context)
    return drill(
        context,
        SWITCHOVER,
        stages=[Stage(partial(switchover, context, scope))],
    )


SWITCHOVER = DrillSpec(
    name="pg-switchover",
    hypothesis="A planned switchover loses nothing and pauses writes for seconds.",
    fault="switchover through Patroni, to the synchronous standby",
    must_hold="nothing lost, seconds of pause",
    seconds=50,
    build=planned,
    skip=no_standby,
    tags=frozenset({"postgres", "failover"}),
)
