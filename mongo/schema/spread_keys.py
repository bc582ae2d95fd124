"""What a server asks of a shard key, checked before anything is sent. Pure.

Sources: MongoDB Manual, Shard Keys; src/mongo/db/s/shard_key_util.cpp (validShardKeyIndexExists).
"""

from cluster.errors import InvalidInputError
from cluster.schema.types import Entity, Field, Index, Kind, Order, ShardKey
from mongo.schema.indexes import IndexSpec
from mongo.schema.spread_commands import Keys, shown

HASHED = "hashed"
RANGED = 1
UNSPLITTABLE = frozenset({Kind.STRINGS, Kind.POINT})  # no shard key holds an array or a place


def key_index(entity: Entity) -> IndexSpec | None:
    """The index that the shard key needs beside the declared ones, if any.

    Raises InvalidInputError where the declared key cannot be a shard key.
    """
    keys = key_pattern(checked_key(entity))
    if any(_carries(index, keys) for index in entity.indexes):
        return None
    name = "_".join(f"{field}_{direction}" for field, direction in keys)
    return IndexSpec(name=name, keys=keys)


# What the server asks of a shard key


def checked_key(entity: Entity) -> ShardKey:
    """The declared shard key. Raises InvalidInputError for one that the server would refuse."""
    key = entity.shard_key
    if key is None:
        raise InvalidInputError(f"{entity.name} declares no shard key", "see cluster/schema")
    faults = (*_wrong_fields(entity, key), *_wrong_uniques(entity, key))
    if faults:
        keys = shown(dict(key_pattern(key)))
        raise InvalidInputError(
            f"{entity.name} cannot be sharded by {keys}: {'; '.join(faults)}",
            "declare another shard key for it in cluster/schema",
        )
    return key


def _wrong_fields(entity: Entity, key: ShardKey) -> list[str]:
    declared = {field.name: field for field in entity.fields}
    fields = [declared[name] for name in key.fields if name in declared]
    several = [f"{field.name} holds no single value" for field in fields if _several(field)]
    return [
        *["it has no fields"][: not key.fields],
        *["only one field can be hashed"][: key.hashed and len(key.fields) > 1],
        *(f"there is no field {name}" for name in key.fields if name not in declared),
        *several,
        *(f"{field.name} may be missing" for field in fields if not field.required),
    ]


def _several(field: Field) -> bool:
    return field.kind in UNSPLITTABLE


def _wrong_uniques(entity: Entity, key: ShardKey) -> list[str]:
    """A shard knows its own documents alone: equal ones must all be on one shard.

    `unique` cannot be asked of a hashed key (MongoDB Manual, shardCollection), so none is declared
    for what must stay unique.
    """
    uniques = [index for index in entity.indexes if index.unique]
    if key.hashed:
        return [f"a hashed key cannot keep {_named(index)} unique" for index in uniques]
    return [
        f"it is no prefix of the unique {_named(index)}"
        for index in uniques
        if index.fields[: len(key.fields)] != key.fields
    ]


def _named(index: Index) -> str:
    return f"({', '.join(index.fields)})"


def key_pattern(key: ShardKey) -> Keys:
    """The key as `shardCollection` takes it."""
    return tuple((field, HASHED if key.hashed else RANGED) for field in key.fields)


def _carries(index: Index, keys: Keys) -> bool:
    """A prefix of the index, in ascending order; no declared index is sparse or partial."""
    if any(key.order is not Order.ASCENDING for key in index.keys[: len(keys)]):
        return False
    return tuple((field, RANGED) for field in index.fields[: len(keys)]) == keys


def is_unique(entity: Entity, key: ShardKey) -> bool:
    """`unique` wants a unique index on the key itself, and no more fields."""
    return any(index.unique and index.fields == key.fields for index in entity.indexes)
