"""backup-proof: the newest backups of both engines restored beside the cluster, and compared.

Nothing is broken: the stage only notes an instant of a load whose every write is in the ledger.
The copies are made among the servers' folders, or at a bench (`skillswap_ops.bench`).
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

import mongo.drills.common as mongo_common
import postgres.drills.common as postgres_common
from cluster.backup.contracts import BackupEngine, BackupKind, Restored, Say, Target
from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    OpIds,
    Promise,
    Stage,
    Stream,
    Timings,
    UndoRecord,
)
from cluster.drill.noted import PitrTarget
from cluster.errors import OpsError
from cluster.target import CanRestoreBeside, Hit
from mongo import live, nodes
from mongo.backup.engine import ENGINE as MONGO
from mongo.backup.looking import ids
from mongo.faults.destroyed_data import instant
from mongo.writer import SegmentStore
from postgres import restore_beside, wholeness
from postgres.backup_engine import ENGINE as POSTGRES
from postgres.observer import ScopeObserver
from postgres.restored_rows import rows
from postgres.scopes import primary_scope
from postgres.writer import LedgerTable
from skillswap_ops.bench import bench_of, lay_out
from skillswap_ops.healing import all_healers
from skillswap_ops.restore_drills import checks
from skillswap_ops.restore_drills.checks import Proof, Proofs
from skillswap_ops.wholeness import lacks
from skillswap_ops.wiring import LocalContext

NOTED = "nothing to undo"
BESIDE = "proof"
ENGINES: tuple[BackupEngine, ...] = (MONGO, POSTGRES)
AFTER = 3.0  # seconds of writes after the instant, which must not be in the copies
RATE = 20.0
Copies = Mapping[str, OpIds]


@dataclass(frozen=True)
class NoteInstant:
    """Note an instant under load; nothing is broken."""

    context: Context
    kept: list[PitrTarget]

    @property
    def name(self) -> str:
        """As shown."""
        return "an instant is noted; nothing is broken"

    @property
    def undo(self) -> UndoRecord:
        """Nothing."""
        return UndoRecord(NOTED, ())

    def inject(self) -> Hit:
        """Note it."""
        noted = instant(switched=False)
        self.kept.append(noted)
        return Hit(self.context.clock.monotonic(), f"restores are to go to {noted.at.isoformat()}")


def proof(context: Context) -> Drill:
    """A short load on both stores, an instant of it, and both restored to it beside the cluster."""
    return proof_at(context, bench_of(context))


def proof_at(context: Context, bench: LocalContext | None) -> Drill:
    """The same, restored at a bench; None: among the servers' folders."""
    kept: list[PitrTarget] = []
    streams = _streams(context)
    scene = mongo_common.scene(context)
    made = mongo_common.drill(
        scene,
        PROOF,
        streams=streams,
        stages=(Stage(lambda _seen, _random: NoteInstant(context, kept)),),
        effect=Effect.ANY,
        timings=Timings(phase=1.0, hold=AFTER, recover_within=AFTER),
    )
    return replace(
        made,
        observers=(*made.observers, ScopeObserver(context, primary_scope(context))),
        healers={**all_healers(context), NOTED: lambda _record: None},
        preflight=partial(_preflight, context, bench),
        converged=lambda: lacks(context) or None,
        versions=lambda: {**live.versions(context), **wholeness.versions(context)},
        collect=partial(_collect, context, bench, kept, streams),
        checks=(checks.PROVED,),
    )


def _streams(context: Context) -> tuple[Stream, ...]:
    promise = Promise(Availability.UNJUDGED, rpo=0)
    shards = [shards[0] for shards in context.topology.mongo.segments.values()]
    made = [mongo_common.stream(context, shard, promise, retries=True) for shard in shards]
    pooled, *_ = postgres_common.streams(context, primary_scope(context), promise)
    return tuple(replace(one, rate=RATE) for one in (*made, pooled))


def _preflight(context: Context, bench: LocalContext | None) -> Sequence[str]:
    """The cluster is whole; an engine without any backup gets its first.

    Not from a bench, which has no way to the servers' data.
    """
    sick = lacks(context)
    if sick:
        return [sick]
    if bench:
        lay_out(context, bench)
        without = [one for one in ENGINES if not any(each.good for each in one.list(bench))]
        return [f"{one.name} has no good backup: `skillswap-ops backup list`" for one in without]
    for engine in ENGINES:
        if not engine.windows(context):
            engine.run(context, BackupKind.FULL, lambda _: None)
    return []


def _collect(
    context: Context,
    bench: LocalContext | None,
    kept: Sequence[PitrTarget],
    streams: Sequence[Stream],
    folder: Path,
) -> None:
    """Restore both, read what the copies hold, and remove them."""
    if not kept:
        return
    noted, place = kept[-1], bench or context
    engines = {
        stream.name: MONGO.name if isinstance(stream.store, SegmentStore) else POSTGRES.name
        for stream in streams
    }
    proofs = []
    for engine, read in ((MONGO, _read_mongo), (POSTGRES, _read_postgres)):
        beside = _folder(place, engine.name)
        restore = partial(engine.restore_beside, context, bench=bench)
        try:
            made, copies = _restore(
                engine.name, restore, noted, beside, partial(read, place, streams)
            )
        finally:
            _remove(place, engine.name, beside)
        proofs.append(made)
        for number, stream in enumerate(streams, start=1):
            if stream.name in copies:
                np.save(folder / checks.COPY.format(number=number), copies[stream.name])
    text = Proofs(proofs=tuple(proofs), engines=engines).model_dump_json(indent=1)
    (folder / checks.PROOF_FILE).write_text(text, "utf-8")


def _restore(
    engine: str,
    restore: Callable[[Target, Path, Say], Restored],
    noted: PitrTarget,
    beside: Path,
    read: Callable[[Path], Copies],
) -> tuple[Proof, Copies]:
    empty = Proof(engine=engine, at=noted.at, at_ns=noted.at_ns)
    began = time.monotonic()
    try:
        done = restore(Target(time=noted.at), beside, lambda _: None)
        copies = read(beside)
    except OpsError as error:
        return empty.model_copy(update={"trouble": error.message}), {}
    update = {
        "backup": done.label,
        "seconds": time.monotonic() - began,
        "bytes": done.bytes_restored,
    }
    return empty.model_copy(update=update), copies


def _read_mongo(place: Context, streams: Sequence[Stream], beside: Path) -> Copies:
    return {
        stream.name: ids(place, beside, stream.group, *stream.store.namespace)
        for stream in streams
        if isinstance(stream.store, SegmentStore)
    }


def _read_postgres(place: Context, streams: Sequence[Stream], beside: Path) -> Copies:
    started = restore_beside.start(place, beside)
    try:
        return {
            stream.name: rows(place, started, stream.store)
            for stream in streams
            if isinstance(stream.store, LedgerTable)
        }
    finally:
        restore_beside.stop(place, beside)


def _folder(place: Context, engine: str) -> Path:
    """A folder of the servers' user, short enough for a socket; a killed proof's is removed."""
    node = nodes.config_servers(place).nodes[0]
    beside = place.layout.run(node) / f"{BESIDE}-{engine}"
    _remove(place, engine, beside)
    place.target.run_tool(node, ("mkdir", "-m", "700", str(beside)))
    return beside


def _remove(place: Context, engine: str, beside: Path) -> None:
    if not beside.exists():
        return
    if engine == POSTGRES.name:
        restore_beside.stop(place, beside)
    shutil.rmtree(beside)


def _skip(context: Context) -> str:
    return mongo_common.no_backups(context)


PROOF = DrillSpec(
    name="backup-proof",
    hypothesis="From the newest backups of both engines everything acknowledged by an instant can "
    "be brought back beside the cluster, and nothing that came after it.",
    fault="none: the newest backups are restored beside the cluster to an instant of a short load",
    must_hold="acks at or before T in the copies, none after; the time is stated",
    seconds=90,
    build=proof,
    needs=(CanRestoreBeside,),
    tags=frozenset({"mongo", "postgres", "restore", "proof"}),
    skip=_skip,
)
