"""A service's own side of TLS: what it shows, also when renewed, and the ways to others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from structlog.testing import CapturingLogger
from websockets.asyncio.client import connect

from cluster.certificates import Authority
from cluster.handshake import presented
from cluster.layout import Layout
from cluster.tls_context import ServerContext, client_context
from manifests.services.settings import ServiceTls
from skillswap_ops.services.base import server, ways
from skillswap_ops.services.gateway import websocket

HOST = "127.0.0.1"


def behind() -> FastAPI:
    """What is called: it echoes."""
    app = FastAPI()

    @app.get("/who")
    async def who() -> dict[str, str]:
        return {"who": "me"}

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    return app


@dataclass(frozen=True)
class Serving:
    port: int
    pem: Path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setattr(server, "LOOK_TICKS", 1)
    monkeypatch.setattr(server, "logger", CapturingLogger)  # others' tests leave theirs closed
    made = Authority(Layout(tmp_path))
    made.certificate_file()
    return made


async def shown(port: int, trust: str) -> str:
    found = await asyncio.to_thread(presented, HOST, port, trust, seconds=30)
    return found.serial


@asynccontextmanager
async def serving(authority: Authority, folder: Path, app: FastAPI) -> AsyncIterator[Serving]:
    pem = folder / "tls.pem"
    pem.write_text(authority.pem("a", (HOST,)))
    config = uvicorn.Config(app, host=HOST, port=0, log_config=None, ws="websockets-sansio")
    running = server.Server(config, ServerContext(pem))
    task = asyncio.create_task(running.serve())
    try:
        while not running.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        yield Serving(running.servers[0].sockets[0].getsockname()[1], pem)
    finally:
        running.should_exit = True
        await task


def test_a_service_is_called_by_tls_and_by_nothing_else(
    authority: Authority, tmp_path: Path
) -> None:
    trust = str(authority.certificate_file())
    stranger = str(Authority(Layout(tmp_path / "other")).certificate_file())

    async def run() -> None:
        async with serving(authority, tmp_path, behind()) as at:
            url = f"https://{HOST}:{at.port}/who"
            for proxies in ((), ("127.0.0.9", HOST)):  # the first of them takes no connections
                known = ServiceTls(certificate=str(at.pem), trust=trust)
                way = ways.transport(proxies, known, connections=2, idle_seconds=1)
                asked = url.replace(HOST, proxies[0]) if proxies else url
                async with httpx.AsyncClient(transport=way) as client:
                    assert (await client.get(asked)).json() == {"who": "me"}
            other = ServiceTls(certificate=str(at.pem), trust=stranger)
            way = ways.transport((), other, connections=2, idle_seconds=1)
            async with httpx.AsyncClient(transport=way) as client:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    await client.get(url)
                with pytest.raises(httpx.TransportError):
                    await client.get(url.replace("https", "http"))

    asyncio.run(run())


def test_a_renewed_certificate_is_shown_within_seconds(
    authority: Authority, tmp_path: Path
) -> None:
    trust = str(authority.certificate_file())

    async def run() -> None:
        async with serving(authority, tmp_path, behind()) as at:
            first = await shown(at.port, trust)
            authority.renew("a", (HOST,))
            at.pem.write_text(authority.pem("a", (HOST,)))
            async with asyncio.timeout(60):
                while await shown(at.port, trust) == first:
                    await asyncio.sleep(0.05)

    asyncio.run(run())


def test_the_gateway_passes_a_websocket_on_by_tls(authority: Authority, tmp_path: Path) -> None:
    trust = str(authority.certificate_file())
    gateway, inner = tmp_path / "gateway", tmp_path / "inner"
    gateway.mkdir()
    inner.mkdir()

    async def run() -> None:
        async with serving(authority, inner, behind()) as at:
            front = FastAPI()

            @front.websocket("/echo")
            async def forward(socket: WebSocket) -> None:
                url = f"wss://{HOST}:{at.port}/echo"
                await websocket.forward(socket, [url], [], 1000, trust)

            async with serving(authority, gateway, front) as outer:
                url = f"wss://{HOST}:{outer.port}/echo"
                async with connect(url, ssl=client_context(trust), proxy=None) as client:
                    await client.send("hello")
                    assert await client.recv() == "hello"

    asyncio.run(run())
