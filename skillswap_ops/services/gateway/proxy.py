"""Passes requests on over HTTP and gives the answers back as they come."""

from collections.abc import AsyncIterator

import httpx
from fastapi import Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from skillswap_ops.services.base import upstreams, ways
from skillswap_ops.services.base.calls import Caller, Way
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.gateway.routing import request_headers, response_headers

POOL = 200
IDLE_SECONDS = 2
CONNECT_SECONDS = 1.0
SAFE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}  # RFC 9110 §9.2.2: may be sent again
KEY = "idempotency-key"


class Proxy:
    """One gateway instance's way to all services."""

    def __init__(self, at: Runtime, transport: httpx.AsyncBaseTransport | None = None) -> None:
        seconds = at.settings.deadlines.upstream
        self._bases = at.settings.upstreams
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            transport=transport
            or ways.transport(
                at.settings.proxies, at.settings.tls, connections=POOL, idle_seconds=IDLE_SECONDS
            ),
            follow_redirects=False,
        )
        self._callers = {
            name: Caller(Way(name, seconds, _unreachable), at.settings.breaker, at.metrics)
            for name in at.settings.upstreams
        }

    def knows(self, service: str) -> bool:
        """Whether the service is part of this deployment."""
        return service in self._callers

    async def forward(
        self, request: Request, service: str, path: str, client: str, request_id: str
    ) -> Response:
        """The service's answer. Raises UnavailableError where none could be had."""
        body = await request.body()
        query = request.scope["query_string"].decode("latin-1")
        url = f"{self._bases[service]}{path}" + (f"?{query}" if query else "")
        headers = request_headers(request.headers.items(), client, request_id)

        async def send() -> httpx.Response:
            made = self._client.build_request(request.method, url, headers=headers, content=body)
            return await self._client.send(made, stream=True)

        again = request.method in SAFE or KEY in request.headers
        answer = await self._callers[service].call(request.method, send, again=again)
        return StreamingResponse(
            _bytes(answer),
            answer.status_code,
            response_headers(answer.headers.items()),
            background=BackgroundTask(answer.aclose),
        )

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


async def _bytes(answer: httpx.Response) -> AsyncIterator[bytes]:
    async for piece in answer.aiter_raw():
        yield piece


def _unreachable(error: Exception) -> str | None:
    """A service's own 503 is passed on as it is: it says more than ours would."""
    return None if isinstance(error, httpx.HTTPStatusError) else upstreams.unavailable(error)
