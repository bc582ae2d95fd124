"""pg-sync-standby-loss."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage
from cluster.target import CanKill
from postgres import drill_checks
from postgres.drills.common import drill
from postgres.drills.skips import not_synchronous
from postgres.faults.standby_kill import node_of_standby
from postgres.scopes import primary_scope


def sync_standby_loss(context: Context) -> Drill:
    """Kill the node that every commit waits for."""
    scope = primary_scope(context)
    return drill(
        context,
        SYNC_STANDBY_LOSS,
        stages=[Stage(partial(node_of_standby, context, scope))],
        effect=Effect.SAME_LEADER,
        checks=[drill_checks.EXPOSURE],
    )


SYNC_STANDBY_LOSS = DrillSpec(
    name="pg-sync-standby-loss",
    hypothesis="When the synchronous standby dies, commits stall until Patroni lets the primary "
    "go on alone, within the RTO; it is synchronous again once it is back.",
    fault="SIGKILL the synchronous standby's node",
    must_hold="stall bounded; seconds unprotected reported",
    seconds=60,
    build=sync_standby_loss,
    needs=(CanKill,),
    skip=not_synchronous,
    tags=frozenset({"postgres"}),
)
