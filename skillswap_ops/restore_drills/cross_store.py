"""cross-store-pitr."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from cluster.backup.contracts import BackupEngine, BackupKind
from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Fault,
    Promise,
    Seen,
    Stage,
    Timings,
)
from cluster.target import CanRestore
from mongo.backup.engine import ENGINE as MONGO
from mongo.drills.common import no_backups
from postgres.backup_engine import ENGINE as POSTGRES
from skillswap_ops import one_instant
from skillswap_ops.one_instant import DestroySessions
from skillswap_ops.restore_drills import checks
from skillswap_ops.service_drills.common import chain, drill, not_deployed, preflight, shard_of
from skillswap_ops.traffic.chain import collect_chains

GAP = (1.0, 4.0)  # seconds of writes between the instant and the mistake
LOST = 3600.0  # seconds: writes go on until the members are stopped; the check judges each
CONVERGE = 300.0


def cross_store(context: Context) -> Drill:
    """Users' chains through the API, every session deleted, both stores back to one instant."""
    rto = context.topology.sla.mongo.rto
    promise = Promise(Availability.RESTORED_AFTER_UNDO, rto=rto, rpo=LOST)
    streams = (chain(context, promise),)
    made = drill(
        context,
        CROSS_STORE,
        group=shard_of(context, "SESSION").name,
        streams=streams,
        stages=(Stage(partial(_destroyed, context)),),
        effect=Effect.ANY,
        timings=Timings(phase=1.0, recover_within=5.0, converge_within=CONVERGE),
        checks=(checks.TO_ONE_INSTANT,),
    )

    def collect(folder: Path) -> None:
        collect_chains(streams, folder)
        _collect(context, folder)

    return replace(made, preflight=partial(_preflight, context), collect=collect)


def _destroyed(context: Context, _seen: Seen, random: Random) -> Fault:
    return DestroySessions(context, random.uniform(*GAP))


def _preflight(context: Context) -> Sequence[str]:
    lacks = preflight(context)
    if not lacks:
        one_instant.forget(context)
        engines: tuple[BackupEngine, ...] = (MONGO, POSTGRES)
        for engine in engines:
            if not engine.windows(context):
                engine.run(context, BackupKind.FULL, lambda _: None)
    return lacks


def _collect(context: Context, folder: Path) -> None:
    noted = one_instant.load(context)
    if noted is not None:
        (folder / checks.INSTANT_FILE).write_text(noted.model_dump_json(indent=2), "utf-8")
        one_instant.forget(context)


def _skip(context: Context) -> str:
    return not_deployed(context) or no_backups(context)


CROSS_STORE = DrillSpec(
    name="cross-store-pitr",
    hypothesis="When sessions are deleted by mistake, both stores go back to one instant: every "
    "chain acknowledged by then is whole, and no row of one store refers to what the other lacks.",
    fault="every SESSION deleted; undone by a restore of MongoDB and PostgreSQL to one instant",
    must_hold="acks at or before T present, none after; no orphan that was not there before",
    seconds=240,
    build=cross_store,
    needs=(CanRestore,),
    tags=frozenset({"services", "mongo", "postgres", "restore", "quarterly"}),
    skip=_skip,
)
