"""backup-corruption, PostgreSQL's half."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.backup.contracts import Damage, Target
from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage
from cluster.drill.journal import Journal
from cluster.errors import OpsError
from cluster.target import CanRestore
from postgres import backup_verify, patroni, restore_beside, restore_checks
from postgres.client import superuser, value
from postgres.drills.common import drill, streams, timings, untouched
from postgres.drills.skips import no_archive_folder
from postgres.faults.archive_outage import folder_number
from postgres.faults.flipped_byte import UNFLIP, flipped_bundle, flipped_segment, unflip
from postgres.restore_checks import Corruption
from postgres.scopes import primary_scope

SCRATCH = "look"


def corruption(context: Context) -> Drill:
    """Flip a byte of a backup's data and one of a WAL segment; try everything that must notice."""
    scope = primary_scope(context)
    made = drill(
        context,
        BACKUP_CORRUPTION,
        stages=[
            Stage(partial(flipped_segment, context, scope)),
            Stage(partial(flipped_bundle, context, scope)),
        ],
        effect=Effect.SAME_LEADER,
        load=streams(context, scope, untouched(context)),
        times=timings(context),
        checks=[restore_checks.DAMAGE_FOUND],
    )
    return replace(made, preserve=partial(_keep, context), collect=partial(_collect, context))


def _keep(context: Context, folder: Path) -> None:
    """With both bytes flipped, then with the data's byte right again: the WAL's must be met too."""
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader) as connection:
        place = str(value(connection, "SELECT pg_current_wal_flush_lsn()"))
    found = backup_verify.verify(context)
    in_data = _refusal(context, place)
    _right_again(context, "bundle")
    in_wal = _refusal(context, place)
    seen = Corruption(
        flipped=_flipped(context),
        found=tuple(_words(damage) for damage in found),
        data_refused=in_data,
        wal_refused=in_wal,
    )
    (folder / restore_checks.CORRUPTION_FILE).write_text(seen.model_dump_json(indent=2), "utf-8")


def _collect(context: Context, folder: Path) -> None:
    """After the undo nothing is left to be found."""
    path = folder / restore_checks.CORRUPTION_FILE
    if path.exists():
        seen = Corruption.model_validate_json(path.read_bytes())
        left = tuple(_words(damage) for damage in backup_verify.verify(context))
        path.write_text(seen.model_copy(update={"left": left}).model_dump_json(indent=2), "utf-8")


def _refusal(context: Context, place: str) -> str:
    """What a restore beside the cluster says; "" where it went through."""
    leader = patroni.leader_of(primary_scope(context))
    scratch = context.layout.run(leader) / SCRATCH
    context.target.run_tool(leader, ("mkdir", "-p", "-m", "700", str(scratch)))
    try:
        restore_beside.beside(
            context,
            Target(lsn=place),
            scratch,
            lambda _: None,
            repository=folder_number(context),
        )
    except OpsError as error:
        return error.message
    finally:
        restore_beside.stop(context, scratch)
        context.target.run_tool(leader, ("rm", "-rf", str(scratch)), seconds=600)
    return ""


def _right_again(context: Context, word: str) -> None:
    for entry in Journal(context.layout.drills).open_entries():
        if entry.undo.kind == UNFLIP and f"/{word}/" in entry.undo.args["path"]:
            unflip(context)(entry.undo)


def _flipped(context: Context) -> tuple[str, ...]:
    entries: Sequence[str] = [
        entry.undo.args["path"]
        for entry in Journal(context.layout.drills).open_entries()
        if entry.undo.kind == UNFLIP
    ]
    return tuple(entries)


def _words(damage: Damage) -> str:
    return f"{damage.what}: {damage.reason}"


BACKUP_CORRUPTION = DrillSpec(
    name="pg-backup-corruption",
    hypothesis="One flipped byte in a backup, or in the WAL behind it, is found by `backup verify` "
    "and refused by a restore.",
    fault="one byte flipped in the repository: in a WAL segment, and in the newest full backup",
    must_hold="both found by verify, both refused by restore, nothing left after the undo",
    seconds=90,
    build=corruption,
    needs=(CanRestore,),
    skip=no_archive_folder,
    tags=frozenset({"postgres", "restore"}),
)
