"""What a declaration of the data model is made of; the engines render it."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.schema.guarantees import Guarantee

DAY = 86_400  # seconds


class Store(StrEnum):
    """Which engine keeps an entity."""

    MONGO = "MongoDB"
    POSTGRES = "PostgreSQL"


class Kind(StrEnum):
    """What a field holds."""

    ID = "id"  # a UUID: text in MongoDB, uuid in PostgreSQL
    STRING = "string"
    STRINGS = "strings"  # a list
    INTEGER = "integer"  # 64 bits
    NUMBER = "number"  # a measure or a mean, never money
    MONEY = "money"  # minor units (cents), an integer
    BOOLEAN = "boolean"
    DATETIME = "datetime"  # UTC
    POINT = "point"  # GeoJSON, longitude first


@dataclass(frozen=True)
class Field:
    """A field; `values` are all that it may hold, of each element where it is a list.

    `minimum` and `maximum` bound numbers (inclusive) and, for strings, nothing; `longest` bounds
    strings, in characters.
    """

    name: str
    kind: Kind
    required: bool = True
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Reference:
    """A field that holds the primary key of an `entity`, wherever that one is stored."""

    field: str
    entity: str


class Order(StrEnum):
    """How an index holds a field."""

    ASCENDING = "ascending"
    DESCENDING = "descending"
    TEXT = "text"
    SPHERE = "2dsphere"


@dataclass(frozen=True)
class Key:
    """A field of an index."""

    field: str
    order: Order = Order.ASCENDING


@dataclass(frozen=True)
class Query:
    """The query that an index is for.

    `equal` fields are compared with a value, `since` is a lower bound, `sort` orders the answer
    (as `cree_le`, or `-cree_le` for newest first), `words` searches a text, `near` a place.
    """

    what: str
    equal: tuple[str, ...] = ()
    since: str | None = None
    sort: tuple[str, ...] = ()
    words: str | None = None
    near: str | None = None


@dataclass(frozen=True)
class Index:
    """An index, the uniqueness that it enforces, the age (seconds) at which it removes."""

    keys: tuple[Key, ...]
    serves: Query
    unique: bool = False
    expire_after: int | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields, in order."""
        return tuple(key.field for key in self.keys)


@dataclass(frozen=True)
class ShardKey:
    """How a collection spreads on the day its segment gets a second shard.

    MongoDB enforces a unique index over shards only where the shard key is a prefix of it.
    """

    fields: tuple[str, ...]
    hashed: bool
    why: str


@dataclass(frozen=True)
class States:
    """Which changes of a status are legal: the first state, then what may follow each."""

    field: str
    first: tuple[str, ...]
    after: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Retention:
    """How long rows live: `seconds` after `field`, or for ever (None), and why."""

    seconds: int | None
    why: str
    field: str | None = None


@dataclass(frozen=True)
class Entity:
    """A collection or a table. `home` is the segment, or PostgreSQL's database role `payments`.

    MongoDB's own `_id` holds the same value as the field `key`: see docs/decisions/data-model.md.
    """

    name: str
    store: Store
    home: str
    key: str
    fields: tuple[Field, ...]
    guarantee: Guarantee
    references: tuple[Reference, ...] = ()
    indexes: tuple[Index, ...] = ()
    shard_key: ShardKey | None = None
    states: States | None = None
    retention: Retention = Retention(None, "part of the record of what people did")

    def field(self, name: str) -> Field:
        """A field by name. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name}")
