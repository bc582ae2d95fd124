"""mongo-backup-corruption."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cluster.backup.contracts import BackupKind, Damage, Target
from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.drill.journal import Entry, Journal
from cluster.errors import OpsError
from cluster.target import CanRestore
from mongo import drill_checks
from mongo.backup.engine import ENGINE
from mongo.backup.manifest import SNAPSHOTS
from mongo.drill_checks import Corruption
from mongo.drills.common import (
    Scene,
    drill,
    no_backup_folder,
    preflight,
    scene,
    stream,
    untouched,
)
from mongo.faults.flipped_byte import KEY, UNFLIP, flipped_slice, flipped_snapshot, unflip

SCRATCH = "corruption-look"
ARCHIVE_SECONDS = 120.0
SERVED_SECONDS = 15.0  # nothing is to be recovered: the load goes on


def corruption(context: Context) -> Drill:
    """Flip a byte of a snapshot and one of a slice; try everything that must notice."""
    here = scene(context)
    streams = (stream(context, here.shard, untouched(here.timings), retries=True),)
    made = drill(
        here,
        BACKUP_CORRUPTION,
        streams=streams,
        stages=(
            Stage(partial(flipped_slice, context)),
            Stage(partial(flipped_snapshot, context)),
        ),
        effect=Effect.SAME_LEADER,
        timings=Timings(phase=here.timings.heartbeat_interval, recover_within=SERVED_SECONDS),
    )
    return replace(
        made,
        preflight=partial(_preflight, here),
        preserve=partial(_keep, context),
        collect=partial(_collect, context),
        checks=(drill_checks.DAMAGE_FOUND,),
    )


def _preflight(here: Scene) -> Sequence[str]:
    """As ever; a snapshot of today's, and something archived behind it."""
    context = here.context
    lacks = preflight(context, here.hurt)
    if not lacks:
        [made] = ENGINE.run(context, BackupKind.FULL, lambda _: None)
        wait_for(
            "the archive behind the snapshot",
            lambda: any(window.last > made.stopped for window in ENGINE.windows(context)),
            seconds=ARCHIVE_SECONDS,
            every=1.0,
            clock=context.clock,
        )
    return lacks


def _keep(context: Context, folder: Path) -> None:
    """With both bytes flipped; then with the snapshot right again, for the slice to be met too."""
    found = ENGINE.verify(context)
    at = datetime.now(UTC)
    flipped = tuple(entry.undo.args[KEY] for entry in _open(context))
    in_snapshot = _refusal(context, at)
    for entry in _open(context):
        if entry.undo.args[KEY].startswith(SNAPSHOTS):
            unflip(context)(entry.undo)
    seen = Corruption(
        flipped=flipped,
        found=tuple(_words(damage) for damage in found),
        snapshot_refused=in_snapshot,
        slice_refused=_refusal(context, at),
    )
    (folder / drill_checks.CORRUPTION_FILE).write_text(seen.model_dump_json(indent=2), "utf-8")


def _collect(context: Context, folder: Path) -> None:
    """After the undo nothing is left to be found."""
    path = folder / drill_checks.CORRUPTION_FILE
    if path.exists():
        seen = Corruption.model_validate_json(path.read_bytes())
        left = tuple(_words(damage) for damage in ENGINE.verify(context))
        path.write_text(seen.model_copy(update={"left": left}).model_dump_json(indent=2), "utf-8")


def _refusal(context: Context, at: datetime) -> str:
    """What a restore beside the cluster says; "" where it went through."""
    scratch = context.layout.root / SCRATCH
    try:
        ENGINE.restore_beside(context, Target(time=at), scratch, lambda _: None)
    except OpsError as error:
        return error.message
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ""


def _open(context: Context) -> list[Entry]:
    entries = Journal(context.layout.drills).open_entries()
    return [entry for entry in entries if entry.undo.kind == UNFLIP]


def _words(damage: Damage) -> str:
    return f"{damage.what}: {damage.reason}"


BACKUP_CORRUPTION = DrillSpec(
    name="mongo-backup-corruption",
    hypothesis="One flipped byte in a snapshot, or in the oplog archive behind it, is found by "
    "`backup verify` and refused by a restore.",
    fault="one byte flipped in the repository: in a slice of an oplog, and in the newest snapshot",
    must_hold="both found by verify, both refused by restore, nothing left after the undo",
    seconds=120,
    build=corruption,
    needs=(CanRestore,),
    tags=frozenset({"mongo", "restore"}),
    skip=no_backup_folder,
)
