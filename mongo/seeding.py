"""Stores made-up documents in bulk, each once, through the routers as the application."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, PyMongoError

from cluster.context import Context
from cluster.dataset.community import Rows
from cluster.dataset.record import Record
from cluster.dataset.world import Plan
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.schema import catalogue
from cluster.schema.types import Entity
from mongo import nodes
from mongo.client import Client, Document, as_ops_error, error_text, router_client
from mongo.credentials import APPLICATION, login
from mongo.guarantees import collection
from mongo.live import config_of
from mongo.outcomes import BY_CODE, code_of

RECORDS = "ops_seed"  # one document a seed number, in the segment of the users
MAJORITY = WriteConcern("majority")
OPERATION_SECONDS = (
    60.0  # a bulk insert with the driver's retries, on a machine that has more to do
)
DUPLICATE_KEY = 11000
REFUSALS = {13, 18, 121}  # no rights, no log-in, an invalid document: as wrong the next time
NAME = "the routers"


def application(context: Context) -> AbstractContextManager[Client]:
    """A connection through any of the routers, over which the driver spreads its operations."""
    routers = nodes.routers(context)
    return router_client(routers, login(context, APPLICATION), seconds=OPERATION_SECONDS)


def elections(context: Context) -> tuple[int, ...]:
    """The term of each shard: another one afterwards means that there was an election.

    An election can take back what was acknowledged at w:1. Raises InconclusiveError where no
    member of a shard answers.
    """
    return tuple(config_of(context, shard).term for shard in nodes.shards(context))


def store(client: Client, entity: Entity, rows: Rows, *, look_first: bool) -> int:
    """Insert the documents that are not there yet; how many those were.

    With `look_first` it asks which are there, which costs less than being refused. Raises
    UnreachableError where trying again (with `look_first`) may help, else OpsError.
    """
    place = collection(client, entity)
    try:
        new = _missing(place, rows) if look_first else rows
        if new:
            place.insert_many(new, ordered=False)
        return len(new)
    except BulkWriteError as error:
        return len(new) - already_there(entity, error.details)
    except PyMongoError as error:
        raise _as_ops_error(error) from error


def _missing(place: Collection[Document], rows: Rows) -> Rows:
    keys = [row["_id"] for row in rows]
    there = {
        row["_id"] for row in place.find({"_id": {"$in": keys}}, {"_id": 1}, batch_size=len(keys))
    }
    return [row for row in rows if row["_id"] not in there]


def already_there(entity: Entity, details: Mapping[str, Any]) -> int:
    """How many documents of a bulk were refused for being there already, by their `_id`.

    Raises UnreachableError where another one failed for a reason that passes, else OpsError.
    """
    errors = details.get("writeErrors", [])
    for error in errors:
        if error["code"] != DUPLICATE_KEY:
            kind = UnreachableError if _passes(error["code"]) else OpsError
            raise kind(f"{entity.name}: {error.get('errmsg', error['code'])}")
        if list(error.get("keyPattern", {})) != ["_id"]:
            raise RefusedError(
                f"{entity.name}: another document has the same "
                f"{', '.join(error.get('keyPattern', {}))}: {error.get('keyValue')}",
                "give another --seed, or remove that document",
            )
    for error in details.get("writeConcernErrors", []):
        raise UnreachableError(f"{entity.name}: {error.get('errmsg', error['code'])}")
    return len(errors)


def _passes(code: int | None) -> bool:
    """Whether a server's error belongs to a cluster on the move."""
    return code in BY_CODE and code not in REFUSALS


def _as_ops_error(error: PyMongoError) -> OpsError:
    if not isinstance(error, AutoReconnect) and _passes(code_of(error)):
        return UnreachableError(f"{NAME}: {error_text(error)}")
    return as_ops_error(NAME, error)


# What is there


def recorded(client: Client, seed: int) -> Record | None:
    """What was begun under the seed number."""
    found = _records(client).find_one({"_id": seed})
    if found is None:
        return None
    return Record(found["users"], date.fromisoformat(found["as_of"]), found["generation"])


def record(client: Client, plan: Plan, record: Record) -> None:
    """Note, before anything is stored, what is about to be there; it never shrinks."""
    _records(client).update_one(
        {"_id": plan.seed},
        {
            "$max": {"users": record.users},
            "$set": {"as_of": record.as_of.isoformat(), "generation": record.generation},
        },
        upsert=True,
    )


def _records(client: Client) -> Collection[Document]:
    segment = catalogue.BY_NAME["UTILISATEUR"].home
    return client[segment].get_collection(RECORDS, write_concern=MAJORITY)
