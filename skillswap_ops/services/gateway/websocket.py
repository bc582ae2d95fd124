"""Passes a WebSocket on, frame by frame, with its close codes."""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from cluster.tls_context import client_context
from skillswap_ops.services.base.logs import logger

RESTART = 1012  # the service restarts: come back
TRY_AGAIN = 1013
NORMAL = 1000
ABNORMAL = {1005, 1006, 1015}  # no close frame may carry these (RFC 6455, 7.4.1)
OPEN_SECONDS = 3.0

Close: TypeAlias = "tuple[int | None, str]"  # the client's; None where the client closed itself


async def forward(
    socket: WebSocket,
    urls: Sequence[str],
    headers: list[tuple[str, str]],
    most_bytes: int,
    trust: str,
) -> None:
    """Connect to the service by the first way that is open, and pass frames on until an end.

    `trust` is the file by which the service is verified; empty: it speaks in the clear.
    """
    for url in urls:
        try:
            upstream = await _connected(socket, url, headers, most_bytes, trust)
            break
        except (OSError, TimeoutError, InvalidHandshake) as error:
            logger().warning("websocket not passed on", why=str(error))
    else:
        await socket.accept()
        await socket.close(TRY_AGAIN, "the service is unavailable")
        return
    await socket.accept(subprotocol=upstream.subprotocol)
    code, reason = await _pump(socket, upstream)
    await upstream.close()
    if code is not None:
        await socket.close(RESTART if code in ABNORMAL else code, reason)


async def _connected(
    socket: WebSocket, url: str, headers: list[tuple[str, str]], most_bytes: int, trust: str
) -> ClientConnection:
    offered = [Subprotocol(name) for name in socket.scope["subprotocols"]]
    return await connect(
        url,
        additional_headers=headers,
        subprotocols=offered or None,
        open_timeout=OPEN_SECONDS,
        max_size=most_bytes,
        user_agent_header=None,
        proxy=None,
        ssl=client_context(trust) if trust else None,
    )


async def _pump(socket: WebSocket, upstream: ClientConnection) -> Close:
    """Frames both ways, until either side ends."""
    tasks = [
        asyncio.create_task(_outwards(socket, upstream)),
        asyncio.create_task(_inwards(socket, upstream)),
    ]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return done.pop().result()


async def _outwards(socket: WebSocket, upstream: ClientConnection) -> Close:
    try:
        while True:
            frame = await socket.receive()
            if frame["type"] == "websocket.disconnect":
                return None, ""
            text = frame.get("text")
            await upstream.send(text if text is not None else frame["bytes"])
    except ConnectionClosed as closed:
        return _closed(closed)


async def _inwards(socket: WebSocket, upstream: ClientConnection) -> Close:
    try:
        async for frame in upstream:
            if isinstance(frame, str):
                await socket.send_text(frame)
            else:
                await socket.send_bytes(frame)
    except ConnectionClosed as closed:
        return _closed(closed)
    except WebSocketDisconnect:
        return None, ""
    return upstream.close_code or NORMAL, upstream.close_reason or ""


def _closed(closed: ConnectionClosed) -> Close:
    return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (RESTART, "")
