"""What the services' drills share: where a request belongs, streams, promises, preconditions."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import mongo.drills.common as mongo_common
from cluster.context import Context
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Observer,
    Promise,
    Stage,
    Stream,
    Timings,
)
from cluster.drill.evidence import CONFIG
from cluster.errors import OpsError
from cluster.inventory import Kind
from cluster.schema.catalogue import BY_NAME
from manifests.services import places, releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import Stage as RoadmapStage
from manifests.services.status import overview
from mongo import live, nodes
from mongo.drills.rollbacks import collections, keep_rollbacks
from mongo.nodes import SetNodes
from postgres import wholeness as postgres_wholeness
from postgres.observer import ScopeObserver
from postgres.scopes import primary_scope
from skillswap_ops.healing import all_healers
from skillswap_ops.traffic.chain import ChainStore, collect_chains, still_open
from skillswap_ops.traffic.chain_checks import CHAINS
from skillswap_ops.traffic.stores import (
    ApiStore,
    ChatStore,
    DeliveredStore,
    IntentStore,
    SkillStore,
    Way,
)
from skillswap_ops.wholeness import lacks

NOT_DEPLOYED = "services are not deployed, run `services deploy`"
WITHIN = (
    6.0  # seconds: longer than a store's deadline, so that the service's own answer comes first
)
PATIENT = 30.0  # of a client that repeats what it does not know: longer than any election
# A request goes through two proxies and two or three programs that share this machine's processors
# with every server: what counts as served in time is what a person waits without thinking of it.
GOOD_WITHIN = 2.0
# A chain is some ten requests between programs that share two processors with every server: a third
# of a second of one. What an outage leaves behind must be done beside what comes, or it never is.
CHAIN_RATE, CHAIN_WORKERS = 1.0, 16
AGAIN_RATE, AGAIN_WORKERS = 1.0, 32  # whoever repeats stays busy for all of an outage
RATE, WORKERS = 2.0, 16
QUIET_RATE, QUIET_WORKERS, HEARD_WITHIN = 2.0, 8, 3.0


# Where there is nothing to drill


def not_deployed(context: Context) -> str:
    """Why there is nothing to drill; "" where the MVP is deployed."""
    deployed = set(releases.load(context.layout.releases).services)
    wanted = {service.name for service in CATALOGUE.at(RoadmapStage.MVP)}
    return "" if wanted <= deployed else NOT_DEPLOYED


def no_redis(context: Context) -> str:
    """The same, and whether there is a Redis to lose."""
    return not_deployed(context) or (
        "" if context.inventory.of(Kind.REDIS) else "there is no Redis in this topology"
    )


# Where requests are kept


def shard_of(context: Context, entity: str) -> SetNodes:
    """The replica set that holds a collection."""
    name = context.topology.mongo.segments[BY_NAME[entity].home][0].name
    return next(one for one in nodes.shards(context) if one.name == name)


def payments(context: Context) -> str:
    """The scope that holds the payments."""
    return primary_scope(context).name


# Promises


def restored(context: Context, *, rpo: float = 0.0) -> Promise:
    """Service is back within the tighter of both engines' RTO."""
    sla = context.topology.sla
    return Promise(Availability.RESTORED, rto=min(sla.mongo.rto, sla.postgres.rto), rpo=rpo)


def untouched(seconds: float, *, rpo: float = 0.0) -> Promise:
    """No outage longer than that."""
    return Promise(Availability.UNTOUCHED, rto=seconds, rpo=rpo)


def back_after_undo(context: Context) -> Promise:
    """What needs what is away is back after it is."""
    return Promise(Availability.RESTORED_AFTER_UNDO, rto=context.topology.sla.mongo.rto)


# Streams


def chain(context: Context, promise: Promise, *, retried: bool = False) -> Stream:
    """The write chain, by clients that ask once, or until they know."""
    way = Way("chainagain" if retried else "chain", PATIENT if retried else WITHIN, retried)
    return Stream(
        name="chain, repeated until known" if retried else "chain",
        group=shard_of(context, "SESSION").name,
        store=ChainStore(context, way),
        rate=AGAIN_RATE if retried else CHAIN_RATE,
        workers=AGAIN_WORKERS if retried else CHAIN_WORKERS,
        good_within=GOOD_WITHIN,
        write_within=way.within,
        promise=promise,
    )


def chat(context: Context, promise: Promise) -> Stream:
    """Messages."""
    store = ChatStore(context, Way("chat", WITHIN))
    return _stream("chat", shard_of(context, "MESSAGE").name, store, promise)


def delivered(context: Context, promise: Promise) -> Stream:
    """Messages, acknowledged when the other side has them."""
    store = DeliveredStore(context, Way("delivered", WITHIN))
    group = shard_of(context, "MESSAGE").name
    return _stream("chat, delivered", group, store, promise, quiet=True)


def skills(context: Context, promise: Promise) -> Stream:
    """Skills of one's profile."""
    store = SkillStore(context, Way("skills", WITHIN))
    return _stream("skills", shard_of(context, "COMPETENCE").name, store, promise)


def pay(context: Context, promise: Promise) -> Stream:
    """Payment intents."""
    store = IntentStore(context, Way("pay", WITHIN))
    return _stream("payments", payments(context), store, promise)


def _stream(
    name: str, group: str, store: ApiStore, promise: Promise, *, quiet: bool = False
) -> Stream:
    return Stream(
        name=name,
        group=group,
        store=store,
        rate=QUIET_RATE if quiet else RATE,
        workers=QUIET_WORKERS if quiet else WORKERS,
        good_within=HEARD_WITHIN if quiet else GOOD_WITHIN,
        write_within=store.way.within,
        promise=promise,
    )


# What is the same in all


def drill(
    context: Context,
    spec: DrillSpec,
    *,
    group: str,
    streams: Sequence[Stream],
    stages: Sequence[Stage],
    effect: Effect,
    timings: Timings,
    checks: Sequence[str] = (),
    loses_primary: Sequence[SetNodes] = (),
) -> Drill:
    """A drill over both engines; what is particular to one is replaced in it.

    Of the sets that lose their primary, what members rolled back is kept.
    """
    return Drill(
        name=spec.name,
        hypothesis=spec.hypothesis,
        group=group,
        streams=tuple(streams),
        observers=observers(context),
        stages=tuple(stages),
        healers=all_healers(context),
        preflight=partial(preflight, context),
        converged=partial(missing, context, tuple(streams)),
        settings=partial(settings, context, nodes.shards(context)),
        versions=partial(versions, context),
        effect=effect,
        timings=timings,
        collect=partial(collect, context, tuple(streams), tuple(loses_primary)),
        checks=(*((CHAINS,) if _has_chain(streams) else ()), *checks),
        logs=_logs(context),
    )


def collect(
    context: Context, streams: Sequence[Stream], sets: Sequence[SetNodes], folder: Path
) -> None:
    """Keep the chains, and of these replica sets what members rolled back since the run began."""
    collect_chains(streams, folder)
    since = (folder.parent / CONFIG).stat().st_mtime
    for each in sets:
        for segment, shards in context.topology.mongo.segments.items():
            if each.name in {shard.name for shard in shards}:
                keep_rollbacks(context, each, collections(context, segment), folder, since)


def _has_chain(streams: Sequence[Stream]) -> bool:
    return any(isinstance(stream.store, ChainStore) for stream in streams)


def observers(context: Context) -> tuple[Observer, ...]:
    """Every replica set that holds data, and the payments' scope."""
    sets = mongo_common.observers(context, *nodes.shards(context))
    return (*sets, ScopeObserver(context, primary_scope(context)))


def preflight(context: Context) -> Sequence[str]:
    """The unmet preconditions, of both engines and of the services."""
    sick = unhealthy(context)
    return [
        *mongo_common.preflight(context, shard_of(context, "SESSION")),
        *postgres_wholeness.missing(context),
        *([sick] if sick else []),
    ]


def unhealthy(context: Context) -> str:
    """What the services lack; "" where each has all its instances in rotation."""
    seen = overview(context, {})
    lacking = [
        f"{service.name}: {service.ready} of {service.wanted} instances are ready"
        for service in seen.services
        if not service.healthy
    ]
    silent = [f"{proxy.node.name} does not answer" for proxy in seen.proxies if not proxy.answers]
    return "; ".join([*lacking, *silent])


def missing(context: Context, streams: Sequence[Stream]) -> str | None:
    """What is missing of a whole cluster whose chains are closed."""
    try:
        return lacks(context) or unhealthy(context) or still_open(streams) or None
    except OpsError as error:
        return error.message


def settings(context: Context, sets: Sequence[SetNodes]) -> Mapping[str, str]:
    """The effective settings that the promises rest on; these sets must have a live member."""
    found = {**mongo_common.settings_of(context, sets)}
    return found | dict(postgres_wholeness.effective_settings(context))


def versions(context: Context) -> Mapping[str, str]:
    """What runs, the services' code with it."""
    found = releases.load(context.layout.releases)
    code = sorted(set(found.versions))
    return {
        **live.versions(context),
        **postgres_wholeness.versions(context),
        "services": ", ".join(code),
    }


def _logs(context: Context) -> dict[str, Path]:
    names = ("gateway-1", "gateway-2", "sessions-1", "sessions-2", "payments-1", "payments-2")
    shown = (*names, *(node.name for node in places.proxies(context.topology)))
    return {name: context.layout.log(name) for name in shown}
