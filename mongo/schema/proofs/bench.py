"""One collection on the live servers, and what the trials do to it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, PyMongoError

from cluster.errors import OpsError
from cluster.schema.types import Entity
from mongo.client import Client, Document
from mongo.schema import live
from mongo.schema.live import LiveCollection
from mongo.schema.proofs.probes import PROBES, Maker

SAFE = WriteConcern("majority", j=True)


@dataclass(frozen=True)
class Clients:
    """Connections through the routers: as the application, and as the administrator."""

    application: Client
    admin: Client


@dataclass(frozen=True)
class Bench:
    """A collection under trial.

    The administrator's documents pass by the validator, so that what is wrong with it makes no
    other requirement fail; the application's meet it.
    """

    entity: Entity
    clients: Clients
    maker: Maker

    @property
    def application(self) -> Collection[Document]:
        """As a service has it."""
        return _safe(self.clients.application, self.entity)

    @property
    def admin(self) -> Collection[Document]:
        """As the operator has it."""
        return _safe(self.clients.admin, self.entity)

    def found(self) -> LiveCollection:
        """The collection as it is. Raises OpsError where there is none."""
        found = live.collection(self.clients.admin, self.entity.home, self.entity.name)
        if found is None:
            raise OpsError(
                f"there is no collection {self.entity.name} in {self.entity.home}",
                "run `schema apply`",
            )
        return found

    def put(self, documents: Sequence[Document]) -> None:
        """Insert past the validator."""
        self.admin.insert_many(list(documents), bypass_document_validation=True)

    def put_one(self, document: Document) -> None:
        """Insert past the validator. Raises DuplicateKeyError."""
        self.admin.insert_one(dict(document), bypass_document_validation=True)

    def codes(self, documents: Sequence[Document]) -> list[int]:
        """The error of each document that the application inserts, in order; 0 for none."""
        try:
            self.application.insert_many([dict(one) for one in documents], ordered=False)
        except BulkWriteError as error:
            if error.details.get("writeConcernErrors"):
                raise
            by_index = {one["index"]: int(one["code"]) for one in error.details["writeErrors"]}
            return [by_index.get(index, 0) for index in range(len(documents))]
        return [0] * len(documents)

    def sweep(self, probes: Mapping[str, Any] = PROBES) -> None:
        """Remove probes, this run's and what a killed one left; what it cannot, the next run does.

        Not those that are to expire, unless they are named.
        """
        with suppress(PyMongoError):
            self.admin.delete_many(probes)


def _safe(client: Client, entity: Entity) -> Collection[Document]:
    return client[entity.home].get_collection(entity.name, write_concern=SAFE)
