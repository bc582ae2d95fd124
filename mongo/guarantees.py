"""The declared guarantees in the driver's words: what everything that writes or reads goes through.

Services, drills, seeding and reports take their handles here, so that what a write's
acknowledgement means is decided in one place (`cluster.schema.guarantees`).
"""

from typing import TypeAlias

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import Primary, Secondary

from cluster.schema.guarantees import Guarantee
from cluster.schema.types import Entity
from mongo.client import Client, Document

AsyncClient: TypeAlias = "AsyncMongoClient[Document]"


def write_concern(guarantee: Guarantee) -> WriteConcern:
    """What an acknowledged write means. Raises ValueError for a guarantee of PostgreSQL's.

    `j` is only sent where it is declared: without it a majority is journaled as the set's
    `writeConcernMajorityJournalDefault` says.
    """
    if guarantee.w is None:
        raise ValueError(f"the guarantee {guarantee.name} is not MongoDB's")
    return WriteConcern(guarantee.w, j=guarantee.journal or None)


def collection(client: Client, entity: Entity) -> Collection[Document]:
    """The entity's collection for the application: declared write concern, reads of the primary."""
    return client[entity.home].get_collection(
        entity.name,
        write_concern=write_concern(entity.guarantee),
        read_preference=Primary(),
    )


def async_collection(client: AsyncClient, entity: Entity) -> AsyncCollection[Document]:
    """`collection` for an asyncio client: the services'."""
    return client[entity.home].get_collection(
        entity.name,
        write_concern=write_concern(entity.guarantee),
        read_preference=Primary(),
    )


def durable(client: AsyncClient, entity: Entity) -> AsyncCollection[Document]:
    """The entity's collection, where reads only see what no election can take back any more."""
    return async_collection(client, entity).with_options(read_concern=ReadConcern("majority"))


def reporting(client: Client, entity: Entity) -> Collection[Document]:
    """The entity's collection for reports, which read a secondary (TP3 §4).

    Raises ValueError for a guarantee whose reports read another store's standby.
    """
    if entity.guarantee.reporting != "secondary":
        raise ValueError(f"reports on {entity.name} read a {entity.guarantee.reporting}")
    return collection(client, entity).with_options(read_preference=Secondary())
