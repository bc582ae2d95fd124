"""What is really there: the collections of a segment, their validators and indexes, by a router."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError
from cluster.schema import catalogue
from mongo import nodes
from mongo.client import SET_SECONDS, Client, router_client
from mongo.credentials import ADMIN, login
from mongo.schema.indexes import IndexSpec, parse_index

Document = Mapping[str, Any]

COLLECTION = "collection"
# The server's, when nobody said otherwise.
DEFAULT_LEVEL, DEFAULT_ACTION = "strict", "error"
INDEX_NOT_FOUND = 27
_RULES = {"validator", "validationLevel", "validationAction"}


@dataclass(frozen=True)
class LiveCollection:
    """A collection as a server has it.

    `kind` is "collection", "view" or "timeseries"; `options` are those beside its validation, as
    text, such as a collation: none of them can be changed later.
    """

    name: str
    kind: str = COLLECTION
    validator: Document | None = None
    level: str = DEFAULT_LEVEL
    action: str = DEFAULT_ACTION
    options: tuple[tuple[str, str], ...] = ()
    indexes: tuple[IndexSpec, ...] = ()


def admin(context: Context) -> AbstractContextManager[Client]:
    """Through the routers, as the administrator: whom such commands are for on any cluster."""
    return router_client(nodes.routers(context), login(context, ADMIN), seconds=SET_SECONDS)


def shard_of(context: Context, segment: str) -> str:
    """The shard that a declared segment is pinned to.

    Raises InvalidInputError where the topology has none for it.
    """
    shards = context.topology.mongo.segments.get(segment)
    if not shards:
        raise InvalidInputError(
            f"mongo.shards: none has `segment: {segment}`, where {_homeless(segment)} live",
            "name the segment at the shard that is to carry it, then `provision`",
        )
    return shards[0].name


def _homeless(segment: str) -> str:
    names = [entity.name for entity in catalogue.collections(segment)]
    return f"{names[0]} and {len(names) - 1} more"


def segment(client: Client, name: str, declared: Iterable[str]) -> dict[str, LiveCollection]:
    """A segment's collections; indexes are asked for those that are declared."""
    rows = client[name].list_collections()
    wanted = set(declared)
    return {row["name"]: _with_indexes(client, name, row, wanted) for row in rows}


def collection(client: Client, segment: str, name: str) -> LiveCollection | None:
    """One collection; None where there is none."""
    rows = list(client[segment].list_collections(filter={"name": name}))
    return _with_indexes(client, segment, rows[0], {name}) if rows else None


def _with_indexes(client: Client, segment: str, row: Document, wanted: set[str]) -> LiveCollection:
    """A collection with its indexes, where they are wanted and there can be any."""
    if row["name"] not in wanted or row["type"] != COLLECTION:
        return parse_collection(row, ())
    indexes = wait_for(
        f"the indexes of {segment}.{row['name']}",
        lambda: _index_stats(client[segment][row["name"]]),
        seconds=SET_SECONDS,
    )
    return parse_collection(row, indexes.rows)


@dataclass(frozen=True)
class _Rows:
    rows: tuple[Document, ...]


def _index_stats(collection: Collection[dict[str, Any]]) -> _Rows | None:
    """`$indexStats` has listIndexes' specs, and alone says which index is still being built.

    None in the moment in which an index comes or goes: the server then fails to find it.
    """
    try:
        return _Rows(tuple(collection.aggregate([{"$indexStats": {}}])))
    except OperationFailure as error:
        if error.code != INDEX_NOT_FOUND:
            raise
        return None


def parse_collection(row: Document, indexes: Iterable[Document]) -> LiveCollection:
    """An entry of listCollections, with the answer of $indexStats: one a shard and index."""
    options: Document = row.get("options", {})
    more = [(name, str(value)) for name, value in options.items() if name not in _RULES]
    parsed = {
        parse_index(index["spec"], building=bool(index.get("building"))): None for index in indexes
    }
    return LiveCollection(
        name=row["name"],
        kind=row["type"],
        validator=options.get("validator") or None,
        level=options.get("validationLevel", DEFAULT_LEVEL),
        action=options.get("validationAction", DEFAULT_ACTION),
        options=tuple(sorted(more)),
        indexes=tuple(sorted(parsed, key=lambda index: index.name)),
    )
