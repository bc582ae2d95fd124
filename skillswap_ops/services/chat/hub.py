"""Hands messages to the clients of a conversation, on this instance and on the others.

Redis carries them between instances and may lose any of them: every conversation with a client
here is also read from MongoDB now and then, more often while Redis is away.
"""

import asyncio
import json
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError

from skillswap_ops.services.base.calls import UnavailableError
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.paging import Cursor
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.chat import conversation

Document = dict[str, Any]
PREFIX = "chat:"
POLL_SECONDS = 5.0
POLL_ALONE_SECONDS = 1.0  # while Redis is away
LISTEN_SECONDS = 5.0
BACKOFF_SECONDS = 0.5
QUEUE = 200  # messages that a slow client may be behind
SEEN = 2_000  # ids that a client is remembered to have
NOBODY = f"{PREFIX}nobody"  # subscribed to always: an empty subscription cannot be listened to


class TooSlowError(Exception):
    """The client does not read; it should connect again and catch up."""


class Client:
    """One connection: what is to be sent to it, each message once."""

    def __init__(self, id_session: str, cursor: Cursor | None) -> None:
        self.id_session = id_session
        self.cursor = cursor or Cursor(now(), "")
        self.queue: asyncio.Queue[Document] = asyncio.Queue(QUEUE)
        self.too_slow = False
        self._seen: OrderedDict[str, None] = OrderedDict()

    def offer(self, row: Document) -> None:
        """Have the message sent, unless it was."""
        if row["id_message"] in self._seen:
            return
        try:
            self.queue.put_nowait(row)
        except asyncio.QueueFull:
            self.too_slow = True
            return
        self._seen[row["id_message"]] = None
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        if row["cree_le"] > self.cursor.at:
            self.cursor = Cursor(row["cree_le"], row["id_message"])

    async def next(self) -> Document:
        """The next message. Raises TooSlowError."""
        if self.too_slow:
            raise TooSlowError
        return await self.queue.get()


class Hub:
    """The conversations that have a client on this instance."""

    def __init__(self, at: Runtime) -> None:
        self._at = at
        self._rooms: dict[str, set[Client]] = defaultdict(set)
        self._pubsub = at.redis.client.pubsub()
        self._connected = False

    @asynccontextmanager
    async def client(self, id_session: str, cursor: Cursor | None) -> AsyncIterator[Client]:
        """A client of the conversation, which has been caught up behind its cursor."""
        made = Client(id_session, cursor)
        self._rooms[id_session].add(made)
        try:
            await self._subscribe(id_session)
            if cursor:
                for row in await conversation.since(self._at, id_session, cursor):
                    made.offer(row)
            yield made
        finally:
            self._rooms[id_session].discard(made)
            if not self._rooms[id_session]:
                del self._rooms[id_session]
                with suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(PREFIX + id_session)

    async def publish(self, row: Document) -> None:
        """Hand a kept message on. Whoever misses it reads it from MongoDB."""
        self._deliver(row)
        text = json.dumps(_plain(row))
        try:
            await self._at.redis.call(
                "publish",
                lambda: self._at.redis.client.publish(PREFIX + row["id_session"], text),
            )
        except (UnavailableError, RedisError) as error:
            logger().warning("not published", id_message=row["id_message"], why=str(error))

    def _deliver(self, row: Document) -> None:
        for client in tuple(self._rooms.get(row["id_session"], ())):
            client.offer(row)

    async def _subscribe(self, id_session: str) -> None:
        """Where Redis is away, `listen` subscribes when it is back."""
        if self._connected:
            with suppress(RedisError, OSError):
                await self._pubsub.subscribe(PREFIX + id_session)

    async def listen(self) -> None:
        """Take what other instances publish, for as long as the instance lives."""
        while True:
            try:
                await self._pubsub.subscribe(NOBODY, *(PREFIX + room for room in self._rooms))
                self._connected = True
                await self._catch_up()
                while True:
                    event = await self._pubsub.get_message(
                        ignore_subscribe_messages=True, timeout=LISTEN_SECONDS
                    )
                    if event:
                        self._deliver(_parsed(event["data"]))
            except (RedisError, OSError, ApiError) as error:
                self._connected = False
                logger().warning("redis lost", why=str(error))
                with suppress(RedisError, OSError):
                    await self._pubsub.aclose()  # type: ignore[no-untyped-call]
                self._pubsub = self._at.redis.client.pubsub()
                await asyncio.sleep(BACKOFF_SECONDS)

    async def poll(self) -> None:
        """Read what no publication brought, for as long as the instance lives."""
        while True:
            await asyncio.sleep(POLL_SECONDS if self._connected else POLL_ALONE_SECONDS)
            try:
                await self._catch_up()
            except ApiError as error:
                logger().warning("not caught up", why=str(error))

    async def _catch_up(self) -> None:
        for id_session, clients in list(self._rooms.items()):
            oldest = min(clients, key=lambda client: client.cursor.at, default=None)
            if oldest is None:
                continue
            for row in await conversation.since(self._at, id_session, oldest.cursor):
                self._deliver(row)


@asynccontextmanager
async def running(at: Runtime) -> AsyncIterator[Hub]:
    """The instance's hub."""
    hub = Hub(at)
    tasks = [asyncio.create_task(hub.listen()), asyncio.create_task(hub.poll())]
    try:
        yield hub
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _plain(row: Document) -> Document:
    fields = {name: value for name, value in row.items() if name != "_id"}
    return {**fields, "cree_le": row["cree_le"].isoformat()}


def _parsed(data: bytes) -> Document:
    row: Document = json.loads(data)
    return {**row, "cree_le": datetime.fromisoformat(row["cree_le"]).astimezone(UTC)}
