"""Where connections are made, towards servers and from clients: the one place for TLS."""

import asyncio
import os
import platform
import select
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from bson import Binary

from cluster.tls_context import ServerContext, client_context
from mongo.client import secured
from mongo.router import log, wire
from mongo.router.config import Limits, RouterTls, split_host
from mongo.router.document import Document, encode
from mongo.router.scram import INTERNAL_DATABASE, MECHANISM, Login

# Room for a message in a stream's buffer before the peer is made to wait.
STREAM_BYTES = 1 << 20
BACKLOG = 512

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class AuthenticationError(Exception):
    """A server did not accept the key, or did not prove that it knows it."""


class Transport:
    """Makes the connections of one router."""

    def __init__(self, keys: tuple[str, ...], limits: Limits, tls: RouterTls | None = None) -> None:
        self._keys = keys
        self._limits = limits
        self._trust = str(tls.ca_file) if tls else ""
        self._own = ServerContext(tls.certificate_key_file) if tls else None

    async def listen(self, address: tuple[str, int], accept: Accept) -> asyncio.Server:
        """Listen for clients. Raises OSError."""
        host, port = address
        return await asyncio.start_server(
            accept,
            host,
            port,
            limit=STREAM_BYTES,
            backlog=BACKLOG,
            start_serving=True,
            ssl=self._own.context if self._own else None,
            ssl_handshake_timeout=self._limits.handshake if self._own else None,
        )

    def refresh(self) -> None:
        """Take a renewed certificate, for connections that come from now on."""
        if self._own is None:
            return
        try:
            if self._own.refresh():
                log.event("certificate renewed")
        except OSError as error:
            log.warning("the new certificate cannot be read", why=str(error))

    async def open(self, host: str) -> "Connection":
        """A connection to the server at `host:port`, as the internal user.

        Raises OSError, TimeoutError, AuthenticationError or wire.ProtocolError; nothing of a
        client's command has been sent then.
        """
        for key in self._keys[:-1]:
            try:
                return await self._open(host, key)
            except AuthenticationError:
                continue
        return await self._open(host, self._keys[-1])

    def driver_options(self) -> dict[str, Any]:
        """What pymongo needs to watch a set's servers the way we connect to them."""
        return {
            "connectTimeoutMS": 5000,
            "heartbeatFrequencyMS": int(self._limits.heartbeat * 1e3),
            **secured(self._trust),
        }

    async def _open(self, host: str, key: str) -> "Connection":
        async with asyncio.timeout(self._limits.connect):
            name, port = split_host(host)
            reader, writer = await asyncio.open_connection(
                name, port, limit=STREAM_BYTES, ssl=self._verified()
            )
            connection = Connection(reader, writer)
            try:
                await _authenticate(connection, key)
            except BaseException:
                connection.close()
                raise
            return connection

    def _verified(self) -> ssl.SSLContext | None:
        return client_context(self._trust) if self._trust else None


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the kernel notice a peer that is gone without a word."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def abort(writer: asyncio.StreamWriter) -> None:
    """Close at once, whatever was not sent yet.

    Before Python 3.12.2 a TLS transport that was closed twice has forgotten what to abort:
    https://github.com/python/cpython/issues/113214
    """
    with suppress(AttributeError):
        writer.transport.abort()


class Connection:
    """An authenticated connection to a server: one command at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._poll = select.poll()
        self._poll.register(writer.get_extra_info("socket"), select.POLLIN | select.POLLHUP)
        self._request_id = 0
        self.ended = ""  # why we closed it, where we did

    def usable(self) -> bool:
        """Whether the server has not closed it: nothing may come before we ask.

        Asked of the kernel just before a command is written, so that a connection that died while
        idle does not make the command's outcome unknown.
        """
        return not (self._reader.at_eof() or self._writer.is_closing() or self._poll.poll(0))

    async def exchange(self, body: bytes, sequences: tuple[wire.Sequence, ...] = ()) -> Document:
        """Send a command and return the answer. Raises OSError or wire.ProtocolError."""
        self._request_id = self._request_id % 0x7FFFFFFF + 1
        self._writer.writelines(wire.message(self._request_id, 0, body, sequences))
        await self._writer.drain()
        try:
            frame = await wire.read_frame(self._reader)
        except wire.Disconnected as error:
            raise wire.ProtocolError("the server closed the connection") from error
        if frame.opcode != wire.OP_MSG or frame.response_to != self._request_id:
            raise wire.ProtocolError("the server answered something else")
        return wire.parse_message(frame.payload).body

    def close(self, why: str = "") -> None:
        """Close it at once; who waits on it learns that it is lost."""
        self.ended = why
        abort(self._writer)


async def _authenticate(connection: Connection, key: str) -> None:
    """Say who we are and prove the key, in two round trips."""
    login = Login(key)
    start = {
        "saslStart": 1,
        "mechanism": MECHANISM,
        "payload": Binary(login.first()),
        "options": {"skipEmptyExchange": True},
    }
    hello = await connection.exchange(
        encode(
            {
                "hello": 1,
                "client": _metadata(),
                "speculativeAuthenticate": {**start, "db": INTERNAL_DATABASE},
                "$db": "admin",
            }
        )
    )
    answer = hello.document("speculativeAuthenticate")
    if answer is None:  # refused; the plain command says why
        answer = await connection.exchange(encode({**start, "$db": INTERNAL_DATABASE}))
    try:
        final = await connection.exchange(
            encode(
                {
                    "saslContinue": 1,
                    "conversationId": _checked(answer).integer("conversationId"),
                    "payload": Binary(login.final(bytes(answer.value("payload")))),
                    "$db": INTERNAL_DATABASE,
                }
            )
        )
        login.verify(bytes(_checked(final).value("payload")))
    except (ValueError, KeyError) as error:
        raise AuthenticationError(str(error)) from error


def _checked(answer: Document) -> Document:
    if "ok" in answer and not answer.truth("ok"):
        raise AuthenticationError(answer.text("errmsg") or "refused")
    return answer


def _metadata() -> dict[str, Any]:
    return {
        "application": {"name": f"segment-router-{os.getpid()}"},
        "driver": {"name": "segment-router", "version": "1"},
        "os": {"type": platform.system()},
    }
