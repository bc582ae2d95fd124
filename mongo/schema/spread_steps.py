"""Spreads segments through mongos, as far as they are not; refuses where no mongos runs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from cluster.context import Context
from cluster.errors import RefusedError
from cluster.plan import Finding, Step, done, todo
from mongo import nodes
from mongo.client import Client, Document, router_client
from mongo.credentials import ADMIN, login
from mongo.nodes import CLUSTER_COMPONENT
from mongo.schema.spread import CollectionPlan, SpreadPlan, plans, refusal
from mongo.schema.spread_commands import BindToZone, ShardCollection, shown

BUILD_SECONDS = 3600  # an index of a large collection; reads and writes go on meanwhile


def steps(context: Context, after: Sequence[str] = ()) -> tuple[Step, ...]:
    """One for each segment's zone and each of its collections; none where no shards share one.

    `after` are the steps that make the collections. Raises InvalidInputError for a catalogue whose
    key cannot be a shard key.
    """
    reason = refusal(context)
    if reason:
        return tuple(_refused(one, reason, after) for one in plans(context.topology))
    return tuple(step for one in plans(context.topology) for step in _steps(context, one, after))


def _refused(plan: SpreadPlan, reason: str, after: Sequence[str]) -> Step:
    whole = f"segment {plan.segment} stays on {plan.shards[0]}"

    def check() -> Finding:
        raise RefusedError(
            f"{whole}: {reason}",
            "name a mongos in the topology file (mongo.router_binary) or put one into PATH, and "
            "`provision`",
        )

    return Step(
        name=f"spread {plan.segment}",
        component=CLUSTER_COMPONENT,
        what=f"spread segment {plan.segment} over {' and '.join(plan.shards)}",
        check=check,
        act=lambda: None,
        needs=tuple(after),
    )


def _steps(context: Context, plan: SpreadPlan, after: Sequence[str]) -> tuple[Step, ...]:
    zone = _zone_step(context, plan, after)
    return (zone, *(_collection_step(context, one, zone.name) for one in plan.collections))


def _router(context: Context) -> AbstractContextManager[Client]:
    return router_client(nodes.routers(context), login(context, ADMIN), seconds=BUILD_SECONDS)


def _zone_step(context: Context, plan: SpreadPlan, after: Sequence[str]) -> Step:
    def check() -> Finding:
        with _router(context) as client:
            zones = {row["_id"]: row.get("tags", ()) for row in client.config.shards.find()}
        missing = [zone.shard for zone in plan.zones if zone.zone not in zones.get(zone.shard, ())]
        if missing:
            return todo(f"{', '.join(missing)} not in it")
        return done(f"of {', '.join(plan.shards)}")

    def act() -> None:
        with _router(context) as client:
            for zone in plan.zones:
                client.admin.command(zone.document)

    return Step(
        name=f"zone {plan.segment}",
        component=CLUSTER_COMPONENT,
        what=f"make {' and '.join(plan.shards)} the zone {plan.segment}",
        check=check,
        act=act,
        needs=tuple(after),
    )


def _collection_step(context: Context, plan: CollectionPlan, zone: str) -> Step:
    def check() -> Finding:
        with _router(context) as client:
            found = client.config.collections.find_one({"_id": plan.sharded.namespace})
            ranges = list(client.config.tags.find({"ns": plan.sharded.namespace}))
        return finding(plan.sharded, plan.bound, found, ranges)

    def act() -> None:
        with _router(context) as client:
            for command in plan.commands:
                client[command.database].command(command.document)

    return Step(
        name=f"spread {plan.entity}",
        component=CLUSTER_COMPONENT,
        what=f"shard {plan.sharded.namespace} by {shown(dict(plan.sharded.keys))}",
        check=check,
        act=act,
        needs=(zone,),
    )


def finding(
    wanted: ShardCollection,
    bound: BindToZone,
    found: Document | None,
    ranges: Sequence[Document],
) -> Finding:
    """What the rows of `config.collections` and `config.tags` say of a collection. Pure.

    Raises RefusedError where it is sharded by another key: only resharding changes that.
    """
    if found is None or found.get("unsplittable"):
        return todo("not sharded")
    if found["key"] != dict(wanted.keys) or bool(found.get("unique")) != wanted.unique:
        unique = ", unique" if found.get("unique") else ""
        raise RefusedError(
            f"{wanted.namespace} is sharded by {shown(found['key'])}{unique}, declared is "
            f"{shown(dict(wanted.keys))}{', unique' if wanted.unique else ''}",
            "declare that key, or change it with reshardCollection",
        )
    ends = {"min": bound.document["min"], "max": bound.document["max"], "tag": bound.zone}
    if not any({name: row.get(name) for name in ends} == ends for row in ranges):
        return todo(f"not bound to zone {bound.zone}")
    return done(f"by {shown(found['key'])}")
