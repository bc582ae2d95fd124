"""What surrounds every request: its id, log line, metrics, headers, size limit and deadline."""

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.base.upstreams import REQUEST_ID

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = {"/healthz", "/readyz", "/metrics"}  # asked every second: not logged while they are well

# What Helmet sets by default, for an API that no browser renders.
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    """The answer that an error becomes."""
    return JSONResponse(
        problems.document(error, request_id),
        error.kind.status,
        problems.headers(error),
        problems.MEDIA_TYPE,
    )


class Surroundings:
    """The outermost: nothing that fails inside it goes unanswered or unlogged."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._http(scope, receive, send, request_id)

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        began, status, ended = time.monotonic(), 0, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, ended
            ended = time.monotonic()  # what runs after the last message is not the client's wait
            if message["type"] == "http.response.start":
                status = message["status"]
                self._set_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            async with asyncio.timeout(self._runtime.settings.deadlines.request):
                await self._app(scope, receive, sending)
        except TimeoutError:
            logger().warning("deadline", path=scope["path"])
            if not status:
                error = ApiError(problems.TIMEOUT)
                await problem_response(error, request_id)(scope, receive, sending)
        except Exception:  # noqa: BLE001 - logged and answered
            logger().exception("failed", path=scope["path"])
            if not status:
                error = ApiError(problems.INTERNAL)
                await problem_response(error, request_id)(scope, receive, sending)
        finally:
            self._note(scope, status, (ended or time.monotonic()) - began)

    def _set_headers(self, headers: MutableHeaders, request_id: str) -> None:
        headers[REQUEST_ID] = request_id
        for name, value in SECURITY.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if self._runtime.draining:  # so that proxies do not send another request this way
            headers["Connection"] = "close"

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._runtime.metrics.request(route, scope["method"], status, seconds)
        if status >= 500 or scope["path"] not in QUIET:
            logger().info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )


class BodyLimit:
    """Refuses a body of more than `limit` bytes, announced or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limit:
            error = ApiError(problems.TOO_LARGE, f"at most {self._limit} bytes")
            request_id = scope["state"]["request_id"]
            await problem_response(error, request_id)(scope, receive, send)
            return
        left = self._limit

        async def counting() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"at most {self._limit} bytes")
            return message

        await self._app(scope, counting, send)
