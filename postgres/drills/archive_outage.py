"""pg-archive-outage."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage
from postgres import backup, drill_checks, patroni, wal
from postgres.client import superuser
from postgres.drill_checks import ArchiveAfter, ArchiveOutage
from postgres.drills.common import drill, first_missing, streams, timings, untouched
from postgres.drills.skips import no_archive_folder
from postgres.faults.archive_outage import (
    archive_outage,
    folder_number,
    mode_of_archive,
    switch_wal,
)
from postgres.scopes import Scope, primary_scope

HOLD = 10.0  # seconds
SEGMENTS = 3  # that become full while the archive is away
WAITING = """
SELECT left(name, -6) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready' ORDER BY name"""


def outage(context: Context) -> Drill:
    """Close the archive, and fill WAL segments meanwhile."""
    scope = primary_scope(context)
    mode = mode_of_archive(context, patroni.leader_of(scope))
    made = drill(
        context,
        ARCHIVE_OUTAGE,
        stages=[Stage(partial(archive_outage, context, scope, mode))],
        effect=Effect.SAME_LEADER,
        load=streams(context, scope, untouched(context)),
        times=timings(context, hold=HOLD),
        checks=[drill_checks.CAUGHT_UP],
    )
    return replace(
        made,
        preserve=partial(_keep, context, scope),
        converged=lambda: first_missing(context) or _waiting(context, scope),
        collect=partial(_collect, context, scope),
    )


def _keep(context: Context, scope: Scope, folder: Path) -> None:
    """Fill some segments more, let a checkpoint remove what it dares to, and look."""
    leader = patroni.leader_of(scope)
    filled = [switch_wal(context, leader) for _ in range(SEGMENTS)]
    with superuser(context, leader) as connection:
        connection.execute("CHECKPOINT")
        waiting = connection.execute(WAITING).fetchall()
        present = connection.execute("SELECT name FROM pg_ls_waldir()").fetchall()
    seen = ArchiveOutage(
        waiting=wal.segments(str(name) for (name,) in waiting),
        present=wal.segments(str(name) for (name,) in present),
        last=filled[-1],
    )
    (folder / drill_checks.OUTAGE_FILE).write_text(seen.model_dump_json(indent=2), "utf-8")


def _waiting(context: Context, scope: Scope) -> str | None:
    """PostgreSQL tries again by itself, within a minute."""
    with superuser(context, patroni.leader_of(scope)) as connection:
        waiting = connection.execute(WAITING).fetchall()
    return f"{len(waiting)} WAL segments wait for the archive" if waiting else None


def _collect(context: Context, scope: Scope, folder: Path) -> None:
    leader = patroni.leader_of(scope)
    after = ArchiveAfter(archived=backup.archived(context, leader, folder_number(context)))
    (folder / drill_checks.ARCHIVE_FILE).write_text(after.model_dump_json(indent=2), "utf-8")


ARCHIVE_OUTAGE = DrillSpec(
    name="pg-archive-outage",
    hypothesis="Without its archive the primary goes on and keeps every WAL segment; once it is "
    "back, all of them arrive there without a gap.",
    fault="the archive's folder is closed to the servers",
    must_hold="archiving is seen to fail, no WAL lost, catches up",
    seconds=60,
    build=outage,
    skip=no_archive_folder,
    tags=frozenset({"postgres"}),
)
