"""MongoDB through the routers: declared write concerns, deadlines, retries, a breaker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity
from manifests.services.settings import MongoStore, Settings
from mongo import guarantees
from mongo.client import AUTHENTICATION_FAILED, MECHANISM, secured
from mongo.outcomes import code_of
from skillswap_ops.services.base.calls import Caller, UnavailableError, Way
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.metrics import Metrics

NAME = "mongo"
Document = dict[str, Any]
Collection: TypeAlias = "AsyncCollection[Document]"
T = TypeVar("T")

PING_SECONDS = 1.0
POOL = 20  # connections of one instance to one router
LEAVING_SECONDS = 30  # in which what is under way on connections of before has ended
# Codes by which a server or router says that it cannot now, rather than that it will not.
PASSING = frozenset(
    {6, 7, 11, 50, 64, 89, 91, 133, 189, 202, 262, 9001, 10107, 11600, 11602, 13435, 13436}
)


class Mongo:
    """One instance's connections to MongoDB."""

    def __init__(
        self,
        store: MongoStore,
        settings: Settings,
        metrics: Metrics,
        current: Current | None = None,
    ) -> None:
        self._store, self._settings = store, settings
        self._current = current or Current(settings)
        self._password = store.password.get_secret_value()
        self._leaving: set[asyncio.Task[None]] = set()
        self.client = self._opened()
        way = Way(NAME, settings.deadlines.store, unavailable, bound=pymongo.timeout)
        self._caller = Caller(way, settings.breaker, metrics)

    def _opened(self) -> guarantees.AsyncClient:
        store, settings = self._store, self._settings
        milliseconds = round(settings.deadlines.store * 1000)
        return AsyncMongoClient(
            list(store.hosts),
            username=store.user,
            password=self._password,
            authSource=store.auth_database,
            authMechanism=MECHANISM,
            appname=settings.instance,
            maxPoolSize=POOL,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=min(2000, milliseconds),
            timeoutMS=milliseconds,
            tz_aware=True,
            **secured(settings.tls.trust if settings.tls else ""),
        )

    def renew(self) -> None:
        """Log in with the password that is in force, where no other may be so by now."""
        found = self._current.passwords(NAME)
        if not found.next and found.now != self._password:
            self._change(found.now)

    def _change(self, password: str) -> None:
        """From here on with this one; what is under way on the old connections ends there."""
        task = asyncio.get_running_loop().create_task(_close_later(self.client))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        self._password = password
        self.client = self._opened()

    async def _logged_in(self, work: Callable[[], Awaitable[T]], *, again: bool) -> T:
        """The answer of `work`; where its log-in was refused, `again` with the other password.

        Each connection logs in before anything is sent on it; but of several commands in `work`
        some may be done, so that not everything can be tried again here.
        """
        tried = self.client
        try:
            return await work()
        except OperationFailure as error:
            if error.code != AUTHENTICATION_FAILED:
                raise
            if self.client is tried:
                other = self._current.passwords(NAME).instead_of(self._password)
                if not other:
                    raise
                self._change(other)
            if not again:
                raise
        return await work()

    def of(self, entity: Entity | str) -> Collection:
        """A collection with its declared guarantee."""
        found = BY_NAME[entity] if isinstance(entity, str) else entity
        return guarantees.async_collection(self.client, found)

    def durable(self, entity: str) -> Collection:
        """A collection whose reads only see what a majority has."""
        return guarantees.durable(self.client, BY_NAME[entity])

    async def read(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        """The answer of a read; tried again where a server failed meanwhile."""
        return await self._caller.call(
            operation, lambda: self._logged_in(work, again=True), again=True
        )

    async def write(
        self, operation: str, work: Callable[[], Awaitable[T]], *, again: bool = False
    ) -> T:
        """The answer of a write; `again` where a second execution changes nothing."""
        return await self._caller.call(
            operation, lambda: self._logged_in(work, again=again), again=again
        )

    async def insert(self, entity: str, document: Document) -> bool:
        """Put a document; False where one with its id, or its unique fields, is there already.

        Tried again by itself: a second try meets the first one's document. Raises UnavailableError
        where it is not known that as many members have it as was declared.
        """
        declared = BY_NAME[entity]
        kept = {"_id": document[declared.key], **document}

        async def put() -> bool:
            try:
                await self.of(entity).insert_one(dict(kept))
            except DuplicateKeyError:
                await self._confirm(declared, kept["_id"])
                return False
            return True

        return await self.write(f"insert {entity}", put, again=True)

    async def _confirm(self, entity: Entity, key: str) -> None:
        """What an earlier try put may still be rolled back: an answer waits for the majority."""
        same = {"_id": key}
        if entity.guarantee.w != "majority" or await self.of(entity).find_one(same) is None:
            return
        if await self.durable(entity.name).find_one(same) is None:
            raise UnavailableError(NAME, "the write is not confirmed by a majority yet")

    async def find(self, entity: str, query: Document) -> Document | None:
        """One document, or None."""
        return await self.read(f"find {entity}", lambda: self.of(entity).find_one(query))

    async def page(
        self, entity: str, query: Document, sort: list[tuple[str, int]], limit: int
    ) -> list[Document]:
        """The first `limit` documents in that order."""

        async def rows() -> list[Document]:
            return await self.of(entity).find(query).sort(sort).limit(limit).to_list()

        return await self.read(f"page {entity}", rows)

    async def set(self, entity: str, query: Document, fields: Document) -> Document | None:
        """Set fields of the one document that fits; how it is now, or None where none fits."""

        async def update() -> Document | None:
            return await self.of(entity).find_one_and_update(
                query, {"$set": fields}, return_document=True
            )

        return await self.write(f"update {entity}", update)

    async def ping(self) -> None:
        """Raises whatever the driver does where no router answers for the shards."""

        async def ping() -> object:
            return await self.client.admin.command("ping")

        with pymongo.timeout(PING_SECONDS):
            await self._logged_in(ping, again=True)

    async def close(self) -> None:
        """End the connections."""
        for task in self._leaving:
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self.client.close()


async def _close_later(client: guarantees.AsyncClient) -> None:
    try:
        await asyncio.sleep(LEAVING_SECONDS)
    finally:
        await client.close()


def unavailable(error: Exception) -> str | None:
    """Why MongoDB is unavailable by this error of the driver's; None where it is an answer."""
    if not isinstance(error, PyMongoError):
        return None
    if isinstance(error, WriteConcernError):
        return "the write is not confirmed by enough members"
    if isinstance(error, ExecutionTimeout) or error.timeout:
        return "no answer in time"
    if isinstance(error, AutoReconnect):
        return "no connection to a primary"
    return _refusal(error) if isinstance(error, OperationFailure) else None


def _refusal(error: OperationFailure) -> str | None:
    if error.code == AUTHENTICATION_FAILED:
        return "the log-in is refused"
    return "the shard cannot answer now" if code_of(error) in PASSING else None
