"""mongo-pitr and mongo-pitr-failover."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.backup.contracts import BackupKind
from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Promise,
    Stage,
    Stream,
    Timings,
)
from cluster.target import CanKill, CanRestore
from mongo import drill_checks
from mongo.backup.engine import ENGINE
from mongo.drills.common import (
    Scene,
    cannot_lose_one,
    drill,
    first_set,
    no_backups,
    preflight,
    scene,
    stream,
)
from mongo.faults import destroyed_data
from mongo.faults.destroyed_data import destroyed, destroyed_after_failover
from mongo.faults.primary_kill import primary_kill
from mongo.writer import SegmentStore

CONVERGE = 300.0
LOST = 3600.0  # seconds: writes go on until the members are stopped; the checker judges each
RATE = 20.0


def pitr(context: Context) -> Drill:
    """Destroy the data under load; the undo is the restore."""
    here = scene(context)
    streams = _streams(here)
    stage = Stage(partial(destroyed, context, here.hurt, _stores(streams)))
    return _built(here, PITR, streams, [stage])


def pitr_failover(context: Context) -> Drill:
    """The same, at an instant just after another primary was elected."""
    here = scene(context)
    streams = _streams(here)
    stages = [
        Stage(partial(primary_kill, context, here.hurt.name)),
        Stage(partial(destroyed_after_failover, context, here.hurt, _stores(streams))),
    ]
    return _built(here, PITR_FAILOVER, streams, stages)


def _streams(here: Scene) -> tuple[Stream, ...]:
    """One for each segment. What is acknowledged after the instant is to be gone: the checker
    holds each write to it.
    """
    rto = here.context.topology.sla.mongo.rto
    promise = Promise(Availability.RESTORED_AFTER_UNDO, rto=rto, rpo=LOST)
    shards = (here.shard, *here.others)
    made = (stream(here.context, shard, promise, retries=True) for shard in shards)
    return tuple(replace(one, rate=RATE) for one in made)


def _stores(streams: Sequence[Stream]) -> tuple[SegmentStore, ...]:
    return tuple(one.store for one in streams if isinstance(one.store, SegmentStore))


def _built(
    here: Scene, spec: DrillSpec, streams: Sequence[Stream], stages: Sequence[Stage]
) -> Drill:
    made = drill(
        here,
        spec,
        streams=streams,
        stages=stages,
        effect=Effect.ANY,
        timings=Timings(phase=here.timings.heartbeat_interval, converge_within=CONVERGE),
    )
    return replace(
        made,
        preflight=partial(_preflight, here),
        collect=partial(_collect, here.context),
        checks=(drill_checks.TO_THE_INSTANT,),
    )


def _preflight(here: Scene) -> Sequence[str]:
    """As ever; and there is a snapshot, which is taken where there is none."""
    lacks = preflight(here.context, here.hurt)
    if not lacks:
        destroyed_data.note(here.context).forget()
        if not ENGINE.windows(here.context):
            ENGINE.run(here.context, BackupKind.FULL, lambda _: None)
    return lacks


def _collect(context: Context, folder: Path) -> None:
    destroyed_data.note(context).collect(folder / drill_checks.PITR_FILE)


def _no_failover(context: Context) -> str:
    return no_backups(context) or cannot_lose_one(context, first_set(context))


PITR = DrillSpec(
    name="mongo-pitr",
    hypothesis="Data that was destroyed is back by a restore of all shards to one instant: every "
    "write acknowledged by then is there, and nothing that came after.",
    fault="drop of the drill's collections; undone by a restore of the whole cluster in place",
    must_hold="acks at or before T present, none after",
    seconds=120,
    build=pitr,
    needs=(CanRestore,),
    tags=frozenset({"mongo", "restore", "quarterly"}),
    skip=no_backups,
)
PITR_FAILOVER = DrillSpec(
    name="mongo-pitr-failover",
    hypothesis="The same holds for an instant just after a failover.",
    fault="SIGKILL of the first shard's primary; then the drop, and a restore in place",
    must_hold="acks at or before T present, none after, in the new term",
    seconds=150,
    build=pitr_failover,
    needs=(CanKill, CanRestore),
    tags=frozenset({"mongo", "restore"}),
    skip=_no_failover,
)
