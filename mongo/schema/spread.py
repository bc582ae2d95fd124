"""How a segment is spread over further shards: the exact plan, decided without a server.

The segment becomes a zone of its shards; every collection is bound to it over its whole range of
keys, and sharded by the key that the catalogue names (docs/decisions/data-model.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.context import Context
from cluster.schema import catalogue
from cluster.schema.types import Entity
from cluster.topology import Topology
from mongo.schema.spread_commands import (
    AddToZone,
    BindToZone,
    Command,
    CreateKeyIndex,
    ShardCollection,
)
from mongo.schema.spread_keys import checked_key, is_unique, key_index, key_pattern
from mongo.servers import RouterKind, router_kind

RANGE_MB = 128  # chunkSize since MongoDB 6.0
MOVES_ABOVE_MB = 3 * RANGE_MB  # MongoDB Manual, Sharded Cluster Balancer: migration thresholds


@dataclass(frozen=True)
class CollectionPlan:
    """What is done to one collection, in order, and why by this key."""

    entity: str
    why: str
    index: CreateKeyIndex | None
    bound: BindToZone
    sharded: ShardCollection

    @property
    def commands(self) -> tuple[Command, ...]:
        """In order."""
        return (*((self.index,) if self.index else ()), self.bound, self.sharded)


@dataclass(frozen=True)
class SpreadPlan:
    """A segment over `shards`, the first of which has all of it until then.

    `afterwards` says what follows by itself, and what changes for those who use the collections.
    """

    segment: str
    shards: tuple[str, ...]
    zones: tuple[AddToZone, ...]
    collections: tuple[CollectionPlan, ...]
    afterwards: tuple[str, ...]

    @property
    def commands(self) -> tuple[Command, ...]:
        """Everything, in order."""
        return (*self.zones, *(each for one in self.collections for each in one.commands))

    @property
    def shell(self) -> tuple[str, ...]:
        """Lines for mongosh, comments between them."""
        lines = [f"// segment {self.segment}: a zone of {_and(self.shards)}"]
        lines += [zone.shell for zone in self.zones]
        for one in self.collections:
            lines += [f"// {one.entity}: {one.why}", *(each.shell for each in one.commands)]
        return (*lines, *(f"// {line}" for line in self.afterwards))


def plans(topology: Topology) -> tuple[SpreadPlan, ...]:
    """One for every segment that several shards name."""
    return tuple(
        plan(segment, [shard.name for shard in shards], catalogue.collections(segment))
        for segment, shards in topology.mongo.segments.items()
        if len(shards) > 1
    )


def plan(segment: str, shards: Sequence[str], entities: Sequence[Entity]) -> SpreadPlan:
    """The commands that spread these collections over shards, the first of which has them.

    Raises InvalidInputError for a key that cannot be a shard key.
    """
    return SpreadPlan(
        segment=segment,
        shards=tuple(shards),
        zones=tuple(AddToZone(shard, segment) for shard in shards),
        collections=tuple(_collection(entity, segment) for entity in entities),
        afterwards=_afterwards(shards),
    )


def refusal(context: Context) -> str | None:
    """Why the router on this machine cannot spread a segment; None where it can."""
    kind = router_kind(context)
    if kind is RouterKind.MONGOS:
        return None
    return f"a {kind.value} runs here, which keeps every collection whole: spreading needs mongos"


# A collection


def _collection(entity: Entity, zone: str) -> CollectionPlan:
    key = checked_key(entity)
    namespace, index = f"{entity.home}.{entity.name}", key_index(entity)
    return CollectionPlan(
        entity=entity.name,
        why=key.why,
        index=CreateKeyIndex(entity.home, entity.name, index) if index else None,
        bound=BindToZone(namespace, key.fields, zone),
        sharded=ShardCollection(namespace, key_pattern(key), is_unique(entity, key)),
    )


# In words


def _afterwards(shards: Sequence[str]) -> tuple[str, ...]:
    first, *others = shards
    return (
        f"afterwards each collection is one range on {first}; {_and(others)} takes none at once",
        f"the balancer moves {RANGE_MB} MB at a time, one move a shard, while two shards differ by "
        f"{MOVES_ABOVE_MB} MB of a collection (MongoDB's defaults); no shard beside these gets any",
        "queries that name the shard key ask one shard, others ask all of them",
        "`_id` is unique on each shard alone: ids are UUIDs; unique indexes hold over all shards",
        "a sharded collection stays sharded; `sh.stopBalancer()` halts the moves",
    )


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
