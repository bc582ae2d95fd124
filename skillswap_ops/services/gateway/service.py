"""The service gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response

from manifests.services.settings import Settings
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.base.upstreams import REQUEST_ID
from skillswap_ops.services.base.ways import alternatives
from skillswap_ops.services.chat.socket import token_of
from skillswap_ops.services.gateway import websocket
from skillswap_ops.services.gateway.limiter import Limiter
from skillswap_ops.services.gateway.proxy import Proxy
from skillswap_ops.services.gateway.routing import (
    COSTLY,
    FORWARDED,
    PREFIXES,
    PUBLIC,
    client_address,
    request_headers,
    service_of,
)

BARRED_SECONDS = 2.0  # how long a ban takes to be honoured here, at most
UNAUTHENTICATED, REFUSED, TRY_AGAIN = 4401, 4403, 1013
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter()


class Gateway:
    """What one gateway instance works with."""

    def __init__(self, at: Runtime) -> None:
        if at.settings.redis is None:
            raise LookupError("the gateway needs redis")
        self.at = at
        self.proxy = Proxy(at)
        self.barred: frozenset[str] = frozenset()
        self._limiter = Limiter(at.settings.limits, at.redis, at.settings.redis, at.settings.tls)

    def address(self, connection: HTTPConnection) -> str:
        """Whose request it is."""
        peer = connection.client.host if connection.client else ""
        forwarded = connection.headers.get(FORWARDED, "")
        return client_address(peer, forwarded, self.at.settings.proxies)

    def service(self, path: str) -> str:
        """The service of a path. Raises ApiError (404)."""
        service = service_of(path)
        if service is None:
            raise ApiError(problems.NOT_FOUND, "no such path")
        if not self.proxy.knows(service):
            raise ApiError(problems.NOT_FOUND, f"{service} is not part of this deployment")
        return service

    async def admit(self, method: str, path: str, token: str | None, address: str) -> None:
        """Count the request and check its token. Raises ApiError (401, 403, 429)."""
        asked = (method, unquote(path).rstrip("/"))
        if token is None or asked in PUBLIC:
            await self._limiter.anonymous(address, costly=asked in COSTLY)
            if asked not in PUBLIC:
                raise ApiError(problems.UNAUTHENTICATED, "no bearer token")
            return
        try:
            who = self.at.tokens.verify(token)
        except ApiError:
            await self._limiter.anonymous(address, costly=False)
            raise
        if who.is_service:
            raise ApiError(problems.FORBIDDEN, "services do not come this way")
        if who.subject in self.barred:
            raise ApiError(problems.BANNED)
        await self._limiter.user(who.subject)

    async def watch(self) -> None:
        """Learn who is barred, for as long as the instance lives; auth's last answer stands."""
        while True:
            try:
                answer = await self.at.upstreams.call("auth", "GET", "/internal/barred")
                self.barred = frozenset((answer or {}).get("ids", ()))
            except ApiError as error:
                logger().warning("barred users not known", why=str(error))
            await asyncio.sleep(BARRED_SECONDS)


@asynccontextmanager
async def running(at: Runtime) -> AsyncIterator[Gateway]:
    """The instance's gateway."""
    gateway = Gateway(at)
    watch = asyncio.create_task(gateway.watch())
    try:
        yield gateway
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await gateway.proxy.close()


@router.get("/openapi/{service}", include_in_schema=False)
async def openapi_of(service: str, request: Request) -> Response:
    """A service's OpenAPI."""
    gateway: Gateway = request.app.state.resources
    address = gateway.address(request)
    if service not in PREFIXES.values() or not gateway.proxy.knows(service):
        raise ApiError(problems.NOT_FOUND, "no such service here")
    return await gateway.proxy.forward(
        request, service, "/openapi.json", address, request.state.request_id
    )


@router.api_route("/{path:path}", methods=METHODS, include_in_schema=False)
async def forward(request: Request) -> Response:
    """Any other path: its service's answer."""
    gateway: Gateway = request.app.state.resources
    path = request.scope["raw_path"].decode("latin-1")
    address = gateway.address(request)
    service = gateway.service(path)
    await gateway.admit(request.method, path, _bearer(request), address)
    return await gateway.proxy.forward(request, service, path, address, request.state.request_id)


@router.websocket("/{path:path}")
async def forward_socket(socket: WebSocket) -> None:
    """A WebSocket to its service."""
    gateway: Gateway = socket.app.state.resources
    settings = gateway.at.settings
    path = socket.scope["raw_path"].decode("latin-1")
    address = gateway.address(socket)
    try:
        service = gateway.service(path)
        await gateway.admit("GET", path, token_of(socket), address)
    except ApiError as error:
        await socket.accept()
        await socket.close(_close_code(error), error.kind.slug)
        return
    query = socket.scope["query_string"].decode("latin-1")
    url = settings.upstreams[service].replace("http", "ws", 1) + path
    headers = request_headers(socket.headers.items(), address, socket.state.request_id)
    passed = [(n, v) for n, v in headers if not n.lower().startswith("sec-websocket")]
    urls = alternatives(url + (f"?{query}" if query else ""), settings.proxies)
    trust = settings.tls.trust if settings.tls else ""
    await websocket.forward(socket, urls, passed, settings.limits.body_bytes, trust)


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def _close_code(error: ApiError) -> int:
    return {401: UNAUTHENTICATED, 429: TRY_AGAIN}.get(error.kind.status, REFUSED)


def dress(app: FastAPI, settings: Settings) -> None:
    """CORS is decided here, once for all services."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=METHODS,
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", REQUEST_ID],
        expose_headers=[REQUEST_ID, "Retry-After"],
        max_age=600,
    )


DEFINITION = Definition(
    name="gateway",
    title="SkillSwap: gateway",
    routers=(router,),
    needs=frozenset({"redis"}),
    soft=frozenset({"redis"}),
    resources=running,
    dress=dress,
)
