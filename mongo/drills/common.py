"""What MongoDB's drills share: who is hurt and who is spared, streams, promises, and the rest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Healer,
    Observer,
    Prediction,
    Promise,
    Stage,
    Stream,
    Timings,
)
from cluster.errors import OpsError
from cluster.faults import healers as generic
from cluster.inventory import Node
from cluster.schema.guarantees import SENSITIVE, Guarantee
from cluster.topology import FolderRepository, Shard
from mongo import forecast, live, members, nodes
from mongo.client import node_client
from mongo.credentials import APPLICATION, login
from mongo.drill_checks import ROLLBACKS
from mongo.drills.rollbacks import collect_rollbacks
from mongo.drills.ways import FreshStore, MemberStore
from mongo.faults.destroyed_data import RESTORE_TO, restore_to
from mongo.faults.flipped_byte import UNFLIP, unflip
from mongo.faults.stepdown import ALLOW_ELECTION, allow_election
from mongo.live import LiveTimings
from mongo.nodes import SetNodes
from mongo.observer import SetObserver
from mongo.servers import servers
from mongo.set_model import SetConfig, single_point_of_failure
from mongo.writer import MAJORITY, SegmentStore, WritePath

WRITE_SECONDS = 2.0  # a writer's deadline: it tries again soon after the election
# What must not be touched is slow at times on a machine that others share, and that is no outage.
# So a write may take twice as long as elsewhere, and there are workers for a set that needs a
# second for each.
UNTOUCHED_WITHIN = 2.0
SPARED_RATE, SPARED_WORKERS = 10.0, 16
FRESH_RATE, FRESH_WORKERS = 4.0, 4  # each write of these starts a client's threads and logs in


def healers(context: Context) -> dict[str, Healer]:
    """How MongoDB's faults are undone; asks nothing of the cluster, which may be down."""
    return {
        **generic.healers(context.target, servers(context)),
        ALLOW_ELECTION: allow_election(context),
        RESTORE_TO: restore_to(context),
        UNFLIP: unflip(context),
    }


# Who is hurt, and who is spared


@dataclass(frozen=True)
class Scene:
    """The first shard, which is hurt, with its live timings; `others` carry other segments."""

    context: Context
    shard: Shard
    hurt: SetNodes
    others: tuple[Shard, ...]
    timings: LiveTimings


def scene(context: Context) -> Scene:
    """Raises InconclusiveError where no member of the first shard answers."""
    shard, *others = [shards[0] for shards in context.topology.mongo.segments.values()]
    hurt = first_set(context)
    return Scene(context, shard, hurt, tuple(others), live.live_timings(context, hurt))


def first_set(context: Context) -> SetNodes:
    """The first shard's members."""
    return nodes.shards(context)[0]


def drill(
    scene: Scene,
    spec: DrillSpec,
    streams: Sequence[Stream],
    stages: Sequence[Stage],
    *,
    effect: Effect,
    timings: Timings,
) -> Drill:
    """A drill on the first shard, with everything that is alike in all of them."""
    context, hurt = scene.context, scene.hurt
    return Drill(
        name=spec.name,
        hypothesis=spec.hypothesis,
        group=hurt.name,
        streams=tuple(streams),
        observers=observers(context, *nodes.shards(context)),
        stages=tuple(stages),
        healers=healers(context),
        preflight=partial(preflight, context, hurt),
        converged=partial(live.missing, context),
        settings=partial(settings, context),
        versions=partial(live.versions, context),
        effect=effect,
        prediction=predicted(spec, scene.timings),
        timings=timings,
        collect=partial(collect_rollbacks, context, hurt, tuple(streams)),
        checks=(ROLLBACKS,),
        logs=logs(context, hurt.nodes),
    )


def predicted(spec: DrillSpec, timings: LiveTimings) -> Prediction:
    """What `drill predict` says of the drill; nothing where no election is expected."""
    simulate = forecast.SIMULATIONS.get(spec.name)
    return simulate(timings).prediction if simulate else Prediction()


def observers(context: Context, *sets: SetNodes) -> tuple[Observer, ...]:
    """One for each set."""
    return tuple(SetObserver(context, replica_set) for replica_set in sets)


def logs(context: Context, hurt: Sequence[Node]) -> dict[str, Path]:
    """The logs of these nodes, and of the routers, which feel every fault."""
    shown = (*hurt, *nodes.routers(context))
    return {node.name: context.layout.log(node.name) for node in shown}


def all_of(*collectors: Callable[[Path], None]) -> Callable[[Path], None]:
    """Collect it all."""

    def collect(folder: Path) -> None:
        for collector in collectors:
            collector(folder)

    return collect


# Where there is nothing to drill


def no_second(context: Context) -> str:
    """Why the first shard cannot lose a member; "" if it can. Reads the topology alone."""
    return cannot_lose_one(context, first_set(context))


def cannot_lose_one(context: Context, replica_set: SetNodes) -> str:
    """The same for any set."""
    wanted = members.wanted(context, replica_set)
    return single_point_of_failure(
        SetConfig(
            wanted.name, "", version=1, term=1, members=wanted.members, timings=wanted.timings
        )
    )


def no_backups(context: Context) -> str:
    """Why nothing can be restored; "" if it can. Reads the topology alone."""
    return "" if context.topology.mongo.backup.enabled else "mongo.backup.enabled is false"


def no_backup_folder(context: Context) -> str:
    """The same, and whether a file of the repository can be damaged."""
    if isinstance(context.topology.mongo.backup.repository, FolderRepository):
        return no_backups(context)
    return "the repository of MongoDB's backups is no folder"


# What is promised


def restored(context: Context) -> Promise:
    """A majority write may not be lost at all, whatever the SLA allows for others."""
    sla = context.topology.sla.mongo
    return Promise(Availability.RESTORED, rto=sla.rto, rpo=0, election=sla.election)


def refused(context: Context) -> Promise:
    """Nothing is acknowledged while the fault is in place; service is back after the undo."""
    sla = context.topology.sla.mongo
    return Promise(Availability.RESTORED_AFTER_UNDO, rto=sla.rto, rpo=0, refuses=True)


def untouched(timings: LiveTimings) -> Promise:
    """No election: a stall that is shorter than any election is the shared machine's."""
    return Promise(Availability.UNTOUCHED, rto=timings.election_timeout)


# Streams


def stream(
    context: Context,
    shard: Shard,
    promise: Promise,
    *,
    retries: bool,
    within: float = WRITE_SECONDS,
    guarantee: Guarantee = SENSITIVE,
) -> Stream:
    """A load through the routers on one shard's segment, held to `promise`."""
    path = WritePath(
        segment=shard.segment,
        label=f"w{guarantee.w}_{'retried' if retries else 'once'}",
        retries=retries,
        within=within,
        guarantee=guarantee,
    )
    return Stream(
        name=f"{shard.name} {path.text}",
        group=shard.name,
        store=SegmentStore(context, path),
        write_within=within,
        promise=promise,
    )


def fresh_stream(context: Context, shard: Shard, promise: Promise) -> Stream:
    """The same with a new client for each write, which finds a router and logs in."""
    path = WritePath(shard.segment, "fresh", retries=False, within=WRITE_SECONDS)
    return Stream(
        name=f"{shard.name} {path.acknowledged}, new clients",
        group=shard.name,
        store=FreshStore(context, path),
        rate=FRESH_RATE,
        workers=FRESH_WORKERS,
        write_within=WRITE_SECONDS,
        promise=promise,
    )


def member_stream(scene: Scene, store: MemberStore, path: WritePath, promise: Promise) -> Stream:
    """A load on the primary of the first shard, past the routers and whatever becomes of it."""
    return Stream(
        name=f"{scene.shard.name} {path.acknowledged}, straight to the member",
        group=scene.shard.name,
        store=store,
        write_within=path.within,
        promise=promise,
    )


def spared(scene: Scene) -> tuple[Stream, ...]:
    """The other segments, which are to feel nothing."""
    promise = untouched(scene.timings)
    streams = (stream(scene.context, other, promise, retries=True) for other in scene.others)
    return calm(*(replace(one, rate=SPARED_RATE, workers=SPARED_WORKERS) for one in streams))


def calm(*streams: Stream) -> tuple[Stream, ...]:
    """The same, with the time that what must not be touched is given."""
    return tuple(replace(one, good_within=UNTOUCHED_WITHIN) for one in streams)


def both_ways(scene: Scene, promise: Promise) -> tuple[Stream, Stream]:
    """The hurt segment, with the driver's retries and without."""
    return (
        stream(scene.context, scene.shard, promise, retries=True),
        stream(scene.context, scene.shard, promise, retries=False),
    )


# What is read of the live cluster


def preflight(context: Context, hurt: SetNodes) -> Sequence[str]:
    """The unmet preconditions.

    Every member healthy, another able to take over, the declared default, every router up.
    """
    unmet = live.shortcomings(context)
    alone = single_point_of_failure(live.config_of(context, hurt))
    unmet += [alone] if alone else []
    declared = str(context.topology.mongo.write_concern)
    found = live.live_default(context)
    if found != declared:
        unmet.append(f"the default write concern is {found}, the topology declares {declared}")
    for router in nodes.routers(context):
        try:
            with node_client(router, login(context, APPLICATION)) as client:
                client.admin.command("ping")
        except OpsError as error:
            unmet.append(error.message)
    return unmet


def settings(context: Context) -> Mapping[str, str]:
    """The effective settings that the promise rests on."""
    return {
        "default write concern": live.live_default(context),
        **settings_of(context, nodes.shards(context)),
    }


def settings_of(context: Context, sets: Sequence[SetNodes]) -> Mapping[str, str]:
    """Those of the writers and of these sets, which must have a member that answers."""
    concern = {key: str(value) for key, value in MAJORITY.document.items()}
    shown = ", ".join(f"{key}: {concern[key]}" for key in sorted(concern))
    found = {"writers' write concern": shown}
    for replica_set in sets:
        found |= live.set_settings(context, replica_set)
    return found
