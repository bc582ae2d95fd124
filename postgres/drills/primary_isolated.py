"""pg-primary-isolated."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Promise, Stage
from cluster.target import CanIsolate
from postgres import drill_checks
from postgres.drills.common import STRAIGHT, drill, stream, streams, timings
from postgres.drills.skips import not_synchronous
from postgres.faults.primary_isolation import primary_isolation
from postgres.scopes import primary_scope


def primary_isolated(context: Context) -> Drill:
    """Cut the primary off, and go on writing to it, straight, while it lasts."""
    scope = primary_scope(context)
    refused = Promise(Availability.REFUSED, rpo=context.topology.sla.postgres.rpo)
    return drill(
        context,
        PRIMARY_ISOLATED,
        stages=[Stage(partial(primary_isolation, context, scope))],
        load=[*streams(context, scope), stream(context, scope, STRAIGHT, refused)],
        times=timings(context, hold=float(context.topology.postgres.timings.ttl)),
        checks=[drill_checks.DEMOTED_FIRST, drill_checks.OLD_SIDE_SILENT],
    )


PRIMARY_ISOLATED = DrillSpec(
    name="pg-primary-isolated",
    hypothesis="A primary that is cut off from etcd and its standbys acknowledges nothing more, "
    "and demotes itself before another is promoted, although clients still reach it.",
    fault="cut the primary's node from etcd and its standbys, not from clients and proxies",
    must_hold="demotes before the other is promoted; never two writable",
    seconds=80,
    build=primary_isolated,
    needs=(CanIsolate,),
    skip=not_synchronous,
    tags=frozenset({"postgres", "failover"}),
)
