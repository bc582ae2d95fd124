"""Writes a drill's operations as an application does: through the routers, as its user."""

import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import numpy as np
from bson.int64 import Int64
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from cluster.context import Context
from cluster.drill.contracts import OpIds, Writer
from cluster.drill.outcome import ACKED, Result
from cluster.schema.guarantees import SENSITIVE, Guarantee
from mongo import nodes
from mongo.client import SET_SECONDS, Client, Document, open_client, router_client
from mongo.credentials import ADMIN, APPLICATION, Login, login
from mongo.guarantees import write_concern
from mongo.outcomes import Tries, result

READ_BACK_SECONDS = 600
READ_BACK_BATCH = 20_000  # documents
NAMESPACE_EXISTS = 48
POOL = 4  # connections to each router that a stream opens before it needs them
BARRIER = "barrier"  # the one document that is no operation's
# A drill promises what TP3 §4 does of sessions and reviews, and reads back at the same.
MAJORITY = write_concern(SENSITIVE)


@dataclass(frozen=True)
class WritePath:
    """Where a stream writes, and how.

    `label` keeps streams of one segment apart; `retries` are the driver's retryable writes, and
    `within` is the driver's deadline for one operation with all its retries, in seconds. An
    acknowledgement means what `guarantee` says.
    """

    segment: str
    label: str
    retries: bool
    within: float
    guarantee: Guarantee = SENSITIVE

    @property
    def text(self) -> str:
        """For reports: "majority, retries on"."""
        return f"{self.acknowledged}, retries {'on' if self.retries else 'off'}"

    @property
    def acknowledged(self) -> str:
        """What an acknowledgement means: "majority", "w:1"."""
        w = self.guarantee.w
        return w if w == "majority" else f"w:{w}"


class SegmentStore:
    """A collection of the run's own in a segment.

    All of a stream's writers share one client and its pool, as the threads of a service do.
    """

    def __init__(self, context: Context, path: WritePath) -> None:
        self._routers = nodes.routers(context)
        self._login = login(context, APPLICATION)
        self._administrator = login(context, ADMIN)
        self._path = path
        self._name = ""
        self._uuid: UUID | None = None
        self._attempts = Attempts()
        self._client: Client | None = None
        self._lock = threading.Lock()

    @property
    def namespace(self) -> tuple[str, str]:
        """The run's database and collection; known once it is prepared."""
        return self._path.segment, self._name

    @property
    def uuid(self) -> UUID | None:
        """By what the members call the run's collection, in rollback files; as `namespace`."""
        return self._uuid

    def prepare(self, run: str) -> None:
        """Make the run's collection, known to a majority, and warm the stream's pool."""
        self._name = f"drill_{run}_{self._path.label}"
        with self._short_client() as client:
            database = client.get_database(self._path.segment, write_concern=MAJORITY)
            try:
                database.create_collection(self._name, check_exists=False)
            except OperationFailure as error:
                if error.code != NAMESPACE_EXISTS:
                    raise
            [made] = database.list_collections(filter={"name": self._name})
            self._uuid = made["info"]["uuid"].as_uuid()
        self._stream_client()

    def open_writer(self, worker: int) -> Writer:  # noqa: ARG002 - they are all alike
        """A writer over the stream's client."""
        return self.writer_over(self._stream_client())

    def writer_over(self, client: Client) -> "SegmentWriter":
        """A writer over this client."""
        collection = self._collection(client)
        safe = collection.with_options(write_concern=write_concern(self._path.guarantee))
        return SegmentWriter(safe, self._attempts, retryable=self._path.retries)

    def _stream_client(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self.connect(minPoolSize=POOL)
            return self._client

    def connect(self, **options: int) -> Client:
        """A client as the path wants it; the caller closes it."""
        routers = [nodes.host(router) for router in self._routers]
        return self.client_of(routers, self._login, **options)

    def client_of(self, hosts: Sequence[str], user: Login, **options: int) -> Client:
        """A client of these hosts, with the path's deadline and retries."""
        return open_client(
            hosts,
            user,
            self._path.within,
            self._routers[0].trust,
            retryWrites=self._path.retries,
            event_listeners=[self._attempts],
            **options,
        )

    def read_back(self) -> Iterable[OpIds]:
        """Every operation's id, from the primary at read concern majority.

        A majority write comes first: once it is acknowledged, everything acknowledged before it is
        in what the primary shows at majority.
        """
        with self._short_client(READ_BACK_SECONDS) as client:
            collection = self._collection(client)
            safe = collection.with_options(
                write_concern=MAJORITY,
                read_concern=ReadConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )
            safe.update_one({"_id": BARRIER}, {"$inc": {"reads": 1}}, upsert=True)
            operations = {"_id": {"$ne": BARRIER}}
            cursor = safe.find(operations, {"_id": 1}, batch_size=READ_BACK_BATCH)
            for batch in iter(partial(cursor.to_list, READ_BACK_BATCH), []):
                yield np.fromiter((row["_id"] for row in batch), np.int64, len(batch))

    def discard(self) -> None:
        """Drop the run's collection, and close the stream's client."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
        if self._name:
            with router_client(self._routers, self._administrator, seconds=SET_SECONDS) as client:
                self._collection(client).drop()

    def _short_client(self, seconds: float = SET_SECONDS) -> AbstractContextManager[Client]:
        return router_client(self._routers, self._login, seconds=seconds)

    def _collection(self, client: Client) -> Collection[Document]:
        return client[self._path.segment][self._name]


class SegmentWriter:
    """One worker's way to write."""

    def __init__(
        self, collection: Collection[Document], attempts: "Attempts", *, retryable: bool
    ) -> None:
        self._collection, self._attempts, self._retryable = collection, attempts, retryable

    def write(self, op: int) -> Result:
        """Insert a document with the operation's own key; never raises what pymongo raises."""
        self._attempts.begin()
        try:
            self._collection.insert_one({"_id": Int64(op)})
        except PyMongoError as error:
            return result(error, self._tries(), retries=self._retries)
        return Result(ACKED.outcome, retries=self._retries) if self._retries else ACKED

    def close(self) -> None:
        """Nothing to release: the stream's client stays, and every write has its deadline."""

    @property
    def _retries(self) -> int:
        return max(0, self._attempts.sent - 1)

    def _tries(self) -> Tries:
        if self._attempts.sent == 0:
            return Tries.NONE
        # A router repeats a retryable write by itself, unseen.
        return Tries.REPEATED if self._retryable or self._retries else Tries.ONE


class Attempts(CommandListener):
    """Counts the inserts that the current thread's operation has sent.

    pymongo calls listeners in the thread of the operation, before the first byte is sent.
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def begin(self) -> None:
        """A new operation begins in this thread."""
        self._local.sent = 0

    @property
    def sent(self) -> int:
        """How many times this thread's operation was sent."""
        return int(self._local.sent)

    def started(self, event: CommandStartedEvent) -> None:
        """A command is about to be sent."""
        if event.command_name == "insert":
            self._local.sent = getattr(self._local, "sent", 0) + 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Not needed."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Not needed."""
