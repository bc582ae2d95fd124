"""pg-disk-full."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Availability, Drill, DrillSpec, Effect, Promise, Stage
from cluster.target import CanFill
from postgres import drill_checks, patroni
from postgres.drill_checks import Copies
from postgres.drills.common import drill, streams, timings
from postgres.drills.copies import copies_of
from postgres.drills.skips import no_wal_volume
from postgres.faults.wal_full import full_wal
from postgres.scopes import Scope, primary_scope

HOLD = 40.0  # seconds: Patroni has tried more than once to start it again


def disk_full(context: Context) -> Drill:
    """Fill the leader's WAL volume until PostgreSQL ends.

    Whether a standby takes over is chance: if Patroni's first start succeeds, it keeps the key and
    tries again on the full volume for ever. What is promised is the service once there is space.
    """
    scope, sla = primary_scope(context), context.topology.sla.postgres
    promise = Promise(Availability.RESTORED_AFTER_UNDO, rto=sla.rto, rpo=sla.rpo)
    made = drill(
        context,
        DISK_FULL,
        stages=[Stage(partial(full_wal, context, scope))],
        effect=Effect.ANY,
        load=streams(context, scope, promise),
        times=timings(context, hold=HOLD, recover_within=HOLD),
        checks=[drill_checks.NO_CORRUPTION, drill_checks.WHILE_FULL],
    )
    return replace(made, collect=partial(_collect, context, scope))


def _collect(context: Context, scope: Scope, folder: Path) -> None:
    found = Copies(members=copies_of(context, patroni.leader_of(scope), scope.members))
    (folder / drill_checks.COPIES_FILE).write_text(found.model_dump_json(indent=2), "utf-8")


DISK_FULL = DrillSpec(
    name="pg-disk-full",
    hypothesis="When the primary's WAL volume is full, PostgreSQL stops rather than to lose or to "
    "spoil anything; once there is space, writes go on within the RTO.",
    fault="fill the primary's WAL volume",
    must_hold="no corruption, nothing lost, recovers after space returns",
    seconds=85,
    build=disk_full,
    needs=(CanFill,),
    skip=no_wal_volume,
    tags=frozenset({"postgres"}),
)
