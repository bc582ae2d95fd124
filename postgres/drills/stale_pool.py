"""edge-stale-pool."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Stage
from postgres import drill_checks
from postgres.drills.common import FRESH, KEPT, KEPT_DIRECT, POOLED, drill, restored, stream
from postgres.drills.skips import no_standby
from postgres.faults.switchover import switchover
from postgres.scopes import primary_scope


def stale_pool(context: Context) -> Drill:
    """Switch over under clients that keep their sessions whatever the server says to them."""
    scope = primary_scope(context)
    promise = restored(context)
    return drill(
        context,
        STALE_POOL,
        stages=[Stage(partial(switchover, context, scope))],
        load=[stream(context, scope, path, promise) for path in (POOLED, FRESH, KEPT, KEPT_DIRECT)],
        checks=[drill_checks.POOLED_AS_FRESH],
    )


STALE_POOL = DrillSpec(
    name="edge-stale-pool",
    hypothesis="Sessions that were open before a switchover, of clients that never test them, "
    "write again as soon as new connections do: the proxies end those to the old primary.",
    fault="switchover under clients that keep every session they have",
    must_hold="pooled recover as fresh ones do",
    seconds=50,
    build=stale_pool,
    skip=no_standby,
    tags=frozenset({"postgres", "edge"}),
)
