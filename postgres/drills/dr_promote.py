"""pg-dr-promote."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Promise,
    Stage,
)
from cluster.target import CanKill, CanRestore
from postgres import regions, restore_checks
from postgres.drills.common import drill, streams, timings
from postgres.drills.skips import no_dr
from postgres.faults.region_lost import lose_region, promote_dr
from postgres.forecast import DECISION
from postgres.observer import ScopeObserver
from postgres.scopes import away_scope, home_scope, primary_scope

LAG = 2.0  # seconds that the link is down before the region is
RPO = 30.0  # seconds: the DR region is asynchronous; a WAL segment is archived within a minute
CONVERGE = 420.0


def round_trip(context: Context) -> Drill:
    """Lose the region, promote the other, and fail back as the undo."""
    scope, sla = primary_scope(context), context.topology.sla.postgres
    promise = Promise(Availability.RESTORED, rto=sla.rto, rpo=RPO)
    made = drill(
        context,
        DR_PROMOTE,
        stages=[
            Stage(partial(lose_region, context, scope, LAG)),
            Stage(partial(promote_dr, context, scope), after=DECISION),
        ],
        effect=Effect.NEW_LEADER,
        load=streams(context, scope, promise),
        times=replace(timings(context), converge_within=CONVERGE),
        checks=[restore_checks.STATED_LOSS],
    )
    # Both regions in one view: two that take writes at once are a split brain, wherever they are.
    members = (*home_scope(context, None).members, *away_scope(context, None).members)
    both = replace(scope, members=members)
    return replace(
        made,
        observers=(ScopeObserver(context, both),),
        preserve=partial(_keep, context),
    )


def _keep(context: Context, folder: Path) -> None:
    """The stated loss, before the failback ends it."""
    found = regions.load(context.layout).loss
    if found is not None:
        text = found.model_dump_json(indent=2)
        (folder / restore_checks.LOSS_FILE).write_text(text, "utf-8")


DR_PROMOTE = DrillSpec(
    name="pg-dr-promote",
    hypothesis="When the region is lost the DR region takes over with the loss of its lag, which "
    "is stated; failing back leaves one writable cluster at every moment.",
    fault="cut the DR region's stream, SIGKILL the primary region's PostgreSQL and etcd; promote; "
    "fail back",
    must_hold="loss = asynchronous lag, stated; round trip leaves one writable cluster",
    seconds=170,
    build=round_trip,
    needs=(CanKill, CanRestore),
    skip=no_dr,
    tags=frozenset({"postgres", "dr", "quarterly"}),
)
