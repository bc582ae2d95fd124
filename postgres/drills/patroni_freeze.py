"""pg-patroni-freeze."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Promise, Stage
from cluster.target import CanFreeze
from postgres import drill_checks
from postgres.drills.common import STRAIGHT, drill, stream, streams, timings
from postgres.drills.skips import not_synchronous
from postgres.faults.patroni_freeze import patroni_of_leader
from postgres.scopes import primary_scope

AFTER = 10.0  # seconds: the thawed side is watched for late acknowledgements


def patroni_freeze(context: Context) -> Drill:
    """Freeze the leader's Patroni, and go on writing to its PostgreSQL, straight.

    Until its standby is promoted those writes are good; from then on none may be acknowledged.
    """
    scope = primary_scope(context)
    watched = Promise(Availability.UNJUDGED, rpo=context.topology.sla.postgres.rpo)
    return drill(
        context,
        PATRONI_FREEZE,
        stages=[Stage(partial(patroni_of_leader, context, scope))],
        load=[*streams(context, scope), stream(context, scope, STRAIGHT, watched)],
        times=timings(context, after=AFTER),
        checks=[drill_checks.OLD_SIDE_SILENT],
    )


PATRONI_FREEZE = DrillSpec(
    name="pg-patroni-freeze",
    hypothesis="When the primary's Patroni hangs, its standby is promoted; the old PostgreSQL "
    "runs on and, without its synchronous standby, acknowledges nothing.",
    fault="SIGSTOP the primary's Patroni; its PostgreSQL and pool live on",
    must_hold="fenced, or no acknowledgement from the old side",
    seconds=90,
    build=patroni_freeze,
    needs=(CanFreeze,),
    skip=not_synchronous,
    tags=frozenset({"postgres", "failover"}),
)
