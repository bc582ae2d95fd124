"""The segment router's side towards its clients, where it speaks TLS."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.certificates import Authority
from cluster.handshake import presented
from cluster.layout import Layout
from cluster.tls_context import client_context
from mongo.router.config import Limits, RouterTls
from mongo.router.connect import Transport, abort

HOST = "127.0.0.1"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(4))
    writer.close()
    await writer.wait_closed()


class _Listening:
    def __init__(self, folder: Path, handshake: float = 30) -> None:
        self.authority = Authority(Layout(folder))
        self.trust = str(self.authority.certificate_file())
        self.pem = folder / "tls.pem"
        self.renew()
        tls = RouterTls(certificate_key_file=self.pem, ca_file=Path(self.trust))
        self.transport = Transport(("key",), Limits(handshake=handshake), tls)
        self.port = 0

    def renew(self) -> None:
        self.authority.renew("router-1", [HOST])
        self.pem.write_text(self.authority.pem("router-1", [HOST]))

    async def __aenter__(self) -> "_Listening":
        self._server = await self.transport.listen((HOST, 0), _echo)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def shown(self) -> str:
        found = await asyncio.to_thread(presented, HOST, self.port, self.trust, seconds=30)
        return found.serial


def test_a_renewed_certificate_is_shown_to_those_who_come_then(tmp_path: Path) -> None:
    async def run() -> None:
        async with _Listening(tmp_path) as router:
            first = await router.shown()
            router.renew()
            assert await router.shown() == first
            router.transport.refresh()
            assert await router.shown() != first

    asyncio.run(run())


def test_a_damaged_certificate_leaves_the_one_before(tmp_path: Path) -> None:
    async def run() -> None:
        async with _Listening(tmp_path) as router:
            first = await router.shown()
            router.pem.write_text("half of it")
            router.transport.refresh()
            assert await router.shown() == first

    asyncio.run(run())


@pytest.mark.parametrize("said", [b"\x3a\x00\x00\x00hello", b""])
def test_who_speaks_no_tls_is_turned_away(tmp_path: Path, said: bytes) -> None:
    async def run() -> None:
        async with _Listening(tmp_path, handshake=0.5) as router:
            reader, writer = await asyncio.open_connection(HOST, router.port)
            writer.write(said)
            with suppress(ConnectionResetError):
                assert b"hell" not in await asyncio.wait_for(reader.read(), 60)
            writer.close()

    asyncio.run(run())


def test_a_connection_that_was_closed_twice_can_be_aborted(tmp_path: Path) -> None:
    async def run() -> None:
        async with _Listening(tmp_path) as router:
            context = client_context(router.trust)
            _, writer = await asyncio.open_connection(HOST, router.port, ssl=context)
            writer.close()
            writer.close()
            abort(writer)

    asyncio.run(run())


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    serving = _Listening(tmp_path).transport._own
    assert serving is not None
    assert serving.context.minimum_version == ssl.TLSVersion.TLSv1_2
