"""The servers behind: who is what in each replica set, and connections to each server.

pymongo watches the sets (its clients are used for nothing else); commands go over connections of
our own, because they are passed through as bytes.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.read_preferences import Primary, _ServerMode
from pymongo.topology_description import TopologyDescription

from mongo.router import log, wire
from mongo.router.config import Limits
from mongo.router.connect import AuthenticationError, Connection, Transport
from mongo.router.document import Document, encode
from mongo.router.errors import CommandError
from mongo.router.failures import Failure, Happened
from mongo.router.metadata import CONFIG_SET
from mongo.router.users import Unavailable

WATCH_SECONDS = 0.1
POLL_SECONDS = 0.02
IDLE_SECONDS = 120.0
ASK_SECONDS = 5.0

PRIMARY = Primary()


class Failed(Exception):  # noqa: N818 - carries a Failure
    """An attempt to run a command on a server failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Server:
    """A server and the connections to it."""

    def __init__(self, host: str, transport: Transport, limits: Limits) -> None:
        self.host = host
        self._transport = transport
        self._limits = limits
        self._room = asyncio.Semaphore(limits.pool_size)
        self._idle: list[tuple[Connection, float]] = []
        self._busy: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._idle) + len(self._busy)

    async def run(
        self, body: bytes, sequences: tuple[wire.Sequence, ...], seconds: float
    ) -> Document:
        """Run a command, waiting at most `seconds` for the answer. Raises Failed."""
        connection = await self._take()
        try:
            async with asyncio.timeout(seconds):
                answer = await connection.exchange(body, sequences)
        except BaseException as error:
            self._busy.discard(connection)
            why = connection.ended
            connection.close()
            if isinstance(error, TimeoutError):
                reason = f"{self.host} did not answer within {seconds:g} s"
                raise Failed(Failure(Happened.LATE, reason)) from error
            if isinstance(error, OSError | wire.ProtocolError | CommandError):
                reason = f"connection to {self.host} lost: {why or error}"
                raise Failed(Failure(Happened.LOST, reason)) from error
            raise
        finally:
            self._room.release()
        self._busy.discard(connection)
        self._idle.append((connection, time.monotonic()))
        return answer

    def abandon(self, why: str) -> None:
        """Close every connection: who waits for an answer learns that it will not come."""
        if self._busy:
            log.warning("commands abandoned", server=self.host, count=len(self._busy), why=why)
        for connection in [*self._busy, *(idle for idle, _ in self._idle)]:
            connection.close(why)
        self._idle.clear()

    def tidy(self) -> None:
        """Close connections that have been idle for long."""
        before = time.monotonic() - IDLE_SECONDS
        for connection, since in self._idle:
            if since < before:
                connection.close()
        self._idle = [each for each in self._idle if each[1] >= before]

    async def _take(self) -> Connection:
        """A connection for one command; its place is given back by `run`."""
        await self._enter()
        try:
            connection = self._usable_idle() or await self._transport.open(self.host)
        except BaseException as error:
            self._room.release()
            if isinstance(error, AuthenticationError):
                log.warning("a server does not accept our key", server=self.host, why=str(error))
            if isinstance(
                error,
                OSError | TimeoutError | AuthenticationError | wire.ProtocolError | CommandError,
            ):
                raise self._not_sent(str(error) or "no answer") from error
            raise
        self._busy.add(connection)
        return connection

    async def _enter(self) -> None:
        """Wait for room in the pool, but no longer than for a server. Raises Failed."""
        if not self._room.locked():
            await self._room.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._limits.selection):
                await self._room.acquire()
        except TimeoutError as error:
            raise self._not_sent("all connections are in use") from error

    def _usable_idle(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    def _not_sent(self, why: str) -> Failed:
        return Failed(Failure(Happened.NOT_SENT, f"{self.host}: {why}"))


class ReplicaSet:
    """A set as pymongo sees it."""

    def __init__(self, seeds: str, backends: "Backends", transport: Transport) -> None:
        self.name, _, hosts = seeds.partition("/")
        self._backends = backends
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            hosts.split(","),
            replicaSet=self.name,
            appname="segment-router-monitor",
            **transport.driver_options(),
        )
        self._primary: str | None = None
        self._answering: set[str] = set()
        self._watch = asyncio.create_task(self._follow())

    @property
    def topology(self) -> TopologyDescription:
        """The set as it was last seen."""
        return self._client.topology_description

    @property
    def wire_version(self) -> int | None:
        """The highest that all servers seen understand."""
        seen = [each.max_wire_version for each in self.topology.known_servers]
        return min(seen) if seen else None

    @property
    def primary(self) -> str | None:
        """`host:port` of the primary, where one is known."""
        found = self.topology.apply_selector(PRIMARY)
        return _host(found[0].address) if found else None

    def candidates(self, preference: _ServerMode) -> list[str]:
        """`host:port` of the servers that satisfy a read preference now."""
        return [_host(each.address) for each in self.topology.apply_selector(preference)]

    async def select(self, preference: _ServerMode, until: float) -> Server:
        """A server that satisfies the preference, waiting for one until then. Raises Failed."""
        while True:
            hosts = self.candidates(preference)
            if hosts:
                return self._backends.server(random.choice(hosts))  # noqa: S311 - spreads load
            if time.monotonic() >= until:
                reason = (
                    "Could not find host matching read preference "
                    f'{{ mode: "{preference.mongos_mode}" }} for set {self.name}'
                )
                raise Failed(Failure(Happened.NOT_SENT, reason))
            await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Watch no longer."""
        self._watch.cancel()
        with suppress(asyncio.CancelledError):
            await self._watch
        await self._client.close()

    async def _follow(self) -> None:
        await self._client.aconnect()
        while True:
            try:
                self._look()
            except Exception:  # noqa: BLE001 - a defect here must not end the watch
                log.failure("watching a set failed", set=self.name)
            await asyncio.sleep(WATCH_SECONDS)

    def _look(self) -> None:
        """Log a change of primary; let go of servers that stopped answering."""
        primary = self.primary
        if primary and primary != self._primary:
            log.event("primary", set=self.name, server=primary, before=self._primary)
        answering = {_host(each.address) for each in self.topology.known_servers}
        for host in self._answering - answering:
            # A primary that is slow may still do its work: only another one ends that.
            if host == self._primary and not primary:
                answering.add(host)
            else:
                self._backends.server(host).abandon("it does not answer its monitor")
        self._answering = answering
        self._primary = primary or self._primary


class Backends:
    """All sets and servers."""

    def __init__(self, config_servers: str, transport: Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._servers: dict[str, Server] = {}
        self._sets = {CONFIG_SET: ReplicaSet(config_servers, self, transport)}

    def server(self, host: str) -> Server:
        """The server at `host:port`."""
        if host not in self._servers:
            self._servers[host] = Server(host, self._transport, self._limits)
        return self._servers[host]

    def replica_set(self, name: str) -> ReplicaSet:
        """The shard of that name, or the config servers. Raises Failed for a shard that is gone."""
        if name not in self._sets:
            raise Failed(Failure(Happened.NOT_SENT, f"shard {name} is gone"))
        return self._sets[name]

    @property
    def wire_version(self) -> int | None:
        """The highest wire version that every set seen understands."""
        seen = [each.wire_version for each in self._sets.values()]
        return min((each for each in seen if each is not None), default=None)

    @property
    def connections(self) -> dict[str, int]:
        """Connections by server."""
        return {host: server.connections for host, server in self._servers.items()}

    async def follow(self, shards: Mapping[str, str]) -> None:
        """Watch exactly these shards beside the config servers."""
        for name in self._sets.keys() - shards.keys() - {CONFIG_SET}:
            await self._sets.pop(name).close()
        for name, seeds in shards.items():
            if name not in self._sets:
                self._sets[name] = ReplicaSet(seeds, self, self._transport)

    async def ask(
        self,
        replica_set: str,
        command: Mapping[str, Any],
        preference: _ServerMode = PRIMARY,
        seconds: float = ASK_SECONDS,
    ) -> Document:
        """Run a command of the router's own. Raises Unavailable where nobody answers in time."""
        try:
            until = time.monotonic() + seconds
            server = await self.replica_set(replica_set).select(preference, until)
            return await server.run(encode(command), (), seconds)
        except Failed as error:
            raise Unavailable(error.failure.reason) from error

    def tidy(self) -> None:
        """Close connections that nobody has used for long."""
        for server in self._servers.values():
            server.tidy()

    async def close(self) -> None:
        """Close everything."""
        for each in self._sets.values():
            await each.close()
        for server in self._servers.values():
            server.abandon("the router stops")


def _host(address: tuple[str, int | None]) -> str:
    return f"{address[0]}:{address[1]}"
