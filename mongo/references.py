"""The ends of references that MongoDB keeps: read through the routers, as the application."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from cluster.errors import RefusedError
from cluster.references import Holder
from cluster.schema.catalogue import collections
from cluster.schema.types import Entity, Kind
from mongo import guarantees
from mongo.client import Client, Document
from mongo.staleness import Choice

READ_BATCH = 20_000  # ids, of about 60 bytes each
BAD_VALUE = 2
APPLY_HINT = "run `skillswap-ops schema apply`"


def assert_applied(client: Client, segments: Iterable[str]) -> None:
    """Raises RefusedError where a declared collection is not there: it would look empty."""
    for segment in segments:
        there = set(client[segment].list_collection_names())
        absent = [one.name for one in collections(segment) if one.name not in there]
        if absent:
            what = f"the schema is not applied: {segment} has no {', '.join(absent)}"
            raise RefusedError(what, APPLY_HINT)


class MongoEnds:
    """References in MongoDB; `choices` say, by segment, which member the streams come from."""

    def __init__(self, client: Client, choices: Mapping[str, Choice]) -> None:
        self._client, self._choices = client, choices

    def values(self, entity: Entity, field: str) -> Generator[object, None, None]:
        """Distinct values, ascending: by the server's index where one begins with the field, else
        grouped and sorted on the server, which spills to its disk beyond 100 MB.
        """
        pipeline = [
            *_elements(entity, field),
            {"$group": {"_id": f"${field}"}},
            {"$sort": {"_id": 1}},
        ]
        replica = self._replica(entity)
        with replica.aggregate(pipeline, allowDiskUse=True, batchSize=READ_BATCH) as cursor:
            for row in cursor:
                if row["_id"] is not None:
                    yield row["_id"]

    def keys(self, entity: Entity) -> Generator[str, None, None]:
        """Keys out of the key's own index. Raises RefusedError where that is not there."""
        key = entity.key
        cursor = (
            self._replica(entity)
            .find({}, {"_id": 0, key: 1}, batch_size=READ_BATCH)
            .sort(key, 1)
            .hint([(key, 1)])
        )
        with cursor:
            try:
                for row in cursor:
                    if isinstance(value := row.get(key), str):
                        yield value
            except OperationFailure as error:
                if error.code != BAD_VALUE:
                    raise
                what = f"the schema is not applied: {entity.name} has no index on {key}"
                raise RefusedError(what, APPLY_HINT) from error

    def present(self, entity: Entity, keys: Sequence[str]) -> set[str]:
        """Which keys the primary has at majority."""
        found = self._primary(entity, durable=True).find(
            {entity.key: {"$in": list(keys)}}, {"_id": 0, entity.key: 1}
        )
        return {row[entity.key] for row in found}

    def holders(
        self, entity: Entity, field: str, values: Sequence[object], *, durable: bool
    ) -> list[Holder]:
        """Which values the primary's rows hold."""
        wanted = {"$match": {field: {"$in": list(values)}}}
        pipeline = [
            wanted,
            *_elements(entity, field),
            wanted,
            {
                "$group": {
                    "_id": f"${field}",
                    "rows": {"$sum": 1},
                    "row": {"$min": f"${entity.key}"},
                }
            },
        ]
        found = self._primary(entity, durable=durable).aggregate(pipeline)
        return [Holder(str(one["_id"]), one["rows"], str(one["row"])) for one in found]

    def _replica(self, entity: Entity) -> Collection[Document]:
        choice = self._choices[entity.home]
        return guarantees.reporting(self._client, entity).with_options(
            read_preference=choice.preference
        )

    def _primary(self, entity: Entity, *, durable: bool) -> Collection[Document]:
        return guarantees.collection(self._client, entity).with_options(
            read_concern=ReadConcern("majority" if durable else "local")
        )


def _elements(entity: Entity, field: str) -> list[dict[str, Any]]:
    """The stage that makes a list's elements rows of their own."""
    is_list = entity.field(field).kind is Kind.STRINGS
    return [{"$unwind": f"${field}"}] if is_list else []
