"""Listens, serves clients, looks after what is kept, and stops cleanly."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pymongo.read_preferences import PrimaryPreferred

from mongo.router import log, parse, wire
from mongo.router.authentication import Authentication, Identity
from mongo.router.backends import Backends
from mongo.router.clustertime import ClusterTime
from mongo.router.command import Command
from mongo.router.config import RouterConfig
from mongo.router.connect import Transport, abort, keep_alive
from mongo.router.cursors import Cursors
from mongo.router.dispatch import Dispatcher
from mongo.router.document import decode
from mongo.router.errors import CommandError
from mongo.router.forward import Forwarder, passed_on
from mongo.router.here import Here
from mongo.router.metadata import CONFIG_SET, Metadata, Rows
from mongo.router.request import Counters, Parts, Request
from mongo.router.scram import internal_credentials
from mongo.router.transactions import Transactions
from mongo.router.users import Unavailable, Users

# Before a log-in nobody needs more; memory is not for strangers.
MAX_STRANGER_BYTES = 64 * 1024
LINGER_SECONDS = 2.0
CERTIFICATE_SECONDS = 5
_PREFERENCE = PrimaryPreferred()


class Router:
    """One segment router."""

    def __init__(self, config: RouterConfig, keys: tuple[str, ...]) -> None:
        limits = config.limits
        self._config = config
        self._transport = Transport(keys, limits, config.tls)
        self._backends = Backends(config.config_servers, self._transport, limits)
        self._metadata = Metadata(self._config_rows, self._backends.follow)
        self._users = Users(self._ask_config, internal_credentials(keys))
        self._authentication = Authentication(self._users)
        self._clock = ClusterTime(keys[0])
        self._counters = Counters()
        cursors, transactions = Cursors(time.monotonic), Transactions()
        forwarder = Forwarder(
            self._backends, self._metadata, self._clock, cursors, transactions, limits
        )
        parts = Parts(
            self._backends,
            self._metadata,
            self._users,
            self._authentication,
            cursors,
            transactions,
            self._counters,
            limits.max_connections,
            lambda: forwarder.retries,
        )
        self._dispatcher = Dispatcher(Here(parts), forwarder, parts, self._clock)
        self._numbers = itertools.count(1)
        self._clients: dict[asyncio.Task[None], bool] = {}  # whether a command is under way
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Stop soon: `run` returns when what is under way has ended, or its time is over."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Raises OSError where the address cannot be listened on."""
        listener = await self._transport.listen(self._config.address, self._accept)
        log.event("listening", address=self._config.listen)
        keepers = [asyncio.create_task(self._look_after()), asyncio.create_task(self._renew())]
        await self._stopping.wait()
        listener.close()
        await self._drain()
        for keeper in keepers:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        await self._backends.close()
        log.event("stopped")

    async def _drain(self) -> None:
        log.event("stopping", clients=len(self._clients))
        for task, busy in list(self._clients.items()):
            if not busy:
                task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=self._config.limits.drain)
        for task in list(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=1)

    # Clients

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._stopping.is_set():
            abort(writer)
            return
        if len(self._clients) >= self._config.limits.max_connections:
            self._counters.refused += 1
            if self._counters.refused.bit_count() == 1:  # the first, then ever more rarely
                log.warning("too many connections", refused=self._counters.refused)
            abort(writer)
            return
        self._clients[task] = False
        self._counters.connections_made += 1
        self._counters.connections = len(self._clients)
        keep_alive(writer)
        client = _Client(reader, writer, next(self._numbers))
        try:
            await self._serve(client, task)
        except (wire.Disconnected, OSError, asyncio.CancelledError):
            pass
        except wire.ProtocolError as error:
            log.warning("client closed: protocol", client=client.identity.client, why=str(error))
        except Exception:  # noqa: BLE001 - a defect must cost one connection, not the router
            log.failure("client closed: defect", client=client.identity.client)
        finally:
            self._clients.pop(task, None)
            self._counters.connections = len(self._clients)
            await _close(writer)

    async def _serve(self, client: "_Client", task: "asyncio.Task[None]") -> None:
        while not self._stopping.is_set():
            known = client.identity.name is not None
            limit = wire.MAX_MESSAGE_BYTES if known else MAX_STRANGER_BYTES
            frame = await wire.read_frame(client.reader, limit, wire.WHOLE_SECONDS)
            self._clients[task] = True
            answer = await self._answer(client, frame)
            if answer:
                await client.send(answer)
            self._clients[task] = False

    async def _answer(self, client: "_Client", frame: wire.Frame) -> list[wire.Buffer]:
        number = next(self._numbers) & 0x7FFFFFFF
        if frame.opcode == wire.OP_QUERY:
            query = wire.parse_query(frame.payload)
            body = await self._body(client, lambda: parse.parse_query(query))
            return wire.reply(number, frame.request_id, body)
        if frame.opcode != wire.OP_MSG:
            raise wire.ProtocolError(f"opcode {frame.opcode}")
        await wire.verify_checksum(frame)
        message = wire.parse_message(frame.payload)
        body = await self._body(client, lambda: parse.parse_message(message))
        return wire.message(number, frame.request_id, body) if message.expects_reply else []

    async def _body(self, client: "_Client", read: Callable[[], Command]) -> bytes:
        try:
            command = read()
            who = self._authentication.principal(client.identity)
            request = Request(command, client.identity, client.number, who)
            return await self._dispatcher.answer(request)
        except CommandError as error:
            return self._dispatcher.error(error)

    # What is kept

    async def _look_after(self) -> None:
        """Read metadata and users again every so often."""
        while True:
            try:
                await self._metadata.fresh()
                await self._users.refresh()
                self._backends.tidy()
            except Exception:  # noqa: BLE001 - what failed now may work the next time
                log.failure("looking after the metadata failed")
            await asyncio.sleep(self._config.limits.refresh if self._metadata.known else 0.2)

    async def _renew(self) -> None:
        """Look for a renewed certificate every few seconds."""
        while True:
            self._transport.refresh()
            await asyncio.sleep(CERTIFICATE_SECONDS)

    async def _config_rows(self, collection: str) -> Rows:
        command = {
            "find": collection,
            "singleBatch": False,
            "batchSize": 100_000,
            "readConcern": {"level": "majority"},
            "$readPreference": {"mode": "primaryPreferred"},
            "$db": "config",
        }
        rows: Rows = (await self._ask_config(command))["cursor"]["firstBatch"]
        return rows

    async def _ask_config(self, command: dict[str, Any]) -> Mapping[str, Any]:
        """An answer of the config servers. Raises Unavailable for any other than a good one."""
        asked = {"$db": "admin", "$readPreference": {"mode": "primaryPreferred"}} | command
        # The command's name must come first.
        ordered = {name: asked[name] for name in (*command, *asked)}
        answer = await self._backends.ask(CONFIG_SET, ordered, _PREFERENCE)
        if not answer.truth("ok"):
            raise Unavailable(passed_on(answer).message)
        self._clock.from_shard(answer)
        return decode(answer.raw)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Let the client take what was answered, but not for ever."""
    writer.close()
    with suppress(OSError, TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(LINGER_SECONDS):
            await writer.wait_closed()
    abort(writer)


class _Client:
    """A client's connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self.reader, self.writer, self.number = reader, writer, number
        peer = writer.get_extra_info("peername") or ("", 0)
        here = writer.get_extra_info("sockname") or ("", 0)
        self.identity = Identity(client=str(peer[0]), server=str(here[0]))

    async def send(self, answer: list[wire.Buffer]) -> None:
        """Send an answer. Raises OSError where the client does not take it in time."""
        self.writer.writelines(answer)
        if self.writer.transport.get_write_buffer_size():
            async with asyncio.timeout(wire.WHOLE_SECONDS):
                await self.writer.drain()
