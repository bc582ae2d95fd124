"""pg-pitr and pg-pitr-failover."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Effect, Promise, Stage
from cluster.target import CanKill, CanRestore
from postgres import restore_checks
from postgres.drills.common import drill, streams, timings
from postgres.drills.skips import no_standby
from postgres.faults import destroyed_data
from postgres.faults.destroyed_data import GAP, destroyed, destroyed_after_failover
from postgres.faults.node_kill import node_of_leader
from postgres.scopes import primary_scope
from postgres.wholeness import missing

CONVERGE = 300.0
SLACK = 3.0  # seconds: the drop itself, and a commit that waits for its standby


def pitr(context: Context) -> Drill:
    """Destroy the data under load; the undo is the restore."""
    scope = primary_scope(context)
    stages = [Stage(partial(destroyed, context, scope))]
    return _built(context, PITR, stages)


def pitr_failover(context: Context) -> Drill:
    """The same, at an instant that a new timeline has just begun."""
    scope = primary_scope(context)
    stages = [
        Stage(partial(node_of_leader, context, scope)),
        Stage(partial(destroyed_after_failover, context, scope)),
    ]
    return _built(context, PITR_FAILOVER, stages)


def _built(context: Context, spec: DrillSpec, stages: Sequence[Stage]) -> Drill:
    # What is acknowledged after the instant is to be gone: the checker holds each write to it.
    lost = max(GAP) + SLACK + (FAILOVER_LOSS if len(stages) > 1 else 0.0)
    promise = Promise(Availability.RESTORED_AFTER_UNDO, rto=RTO_AFTER_UNDO, rpo=lost)
    made = drill(
        context,
        spec,
        stages=stages,
        effect=Effect.ANY,
        load=streams(context, primary_scope(context), promise),
        times=replace(timings(context), converge_within=CONVERGE),
        checks=[restore_checks.TO_THE_INSTANT],
    )
    return replace(
        made,
        preflight=partial(_preflight, context),
        collect=partial(_collect, context),
    )


def _preflight(context: Context) -> Sequence[str]:
    lacks = missing(context)
    if not lacks:
        destroyed_data.note(context).forget()
    return lacks


def _collect(context: Context, folder: Path) -> None:
    destroyed_data.note(context).collect(folder / restore_checks.PITR_FILE)


RTO_AFTER_UNDO = 30.0  # seconds: the restore ends with a write through every proxy
FAILOVER_LOSS = 120.0  # the loss is counted to the first fault, long before the instant

PITR = DrillSpec(
    name="pg-pitr",
    hypothesis="Data that was destroyed is back by a restore to the instant before: every write "
    "acknowledged by then is there, and nothing that came after.",
    fault="DROP SCHEMA of the drill's tables; undone by a restore in place",
    must_hold="acks at or before T present, none after",
    seconds=110,
    build=pitr,
    needs=(CanRestore,),
    tags=frozenset({"postgres", "restore", "quarterly"}),
)
PITR_FAILOVER = DrillSpec(
    name="pg-pitr-failover",
    hypothesis="The same holds for an instant just after a failover, on the timeline that began "
    "with it.",
    fault="SIGKILL the primary's node; then DROP SCHEMA, and a restore in place",
    must_hold="acks at or before T present, none after, across the timelines",
    seconds=150,
    build=pitr_failover,
    needs=(CanKill, CanRestore),
    skip=no_standby,
    tags=frozenset({"postgres", "restore"}),
)
