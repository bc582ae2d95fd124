"""A service as an ASGI application, from its definition and its settings."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from manifests.services.settings import Settings
from skillswap_ops.services.base import health, problems
from skillswap_ops.services.base.current import Current
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.middleware import BodyLimit, Surroundings, problem_response
from skillswap_ops.services.base.problems import ApiError, FieldProblem, Kind, Problem
from skillswap_ops.services.base.runtime import Runtime

PUBLIC_DOC = "Errors are `application/problem+json` (RFC 9457); each operation lists its own."


@dataclass(frozen=True)
class Loop:
    """Work that an instance does by itself, every so many seconds; it must be safe to do twice."""

    name: str
    seconds: float
    work: Callable[[Runtime], Awaitable[None]]


@asynccontextmanager
async def nothing(_runtime: Runtime) -> AsyncIterator[None]:
    """No resources."""
    yield


@dataclass(frozen=True)
class Definition:
    """A service. `resources` live as long as the instance, in `app.state.resources`."""

    name: str
    title: str
    routers: tuple[APIRouter, ...]
    needs: frozenset[str] = frozenset()
    soft: frozenset[str] = frozenset()
    loops: tuple[Loop, ...] = ()
    resources: Callable[[Runtime], AbstractAsyncContextManager[object]] = field(default=nothing)
    dress: Callable[[FastAPI, Settings], None] = field(default=lambda _app, _settings: None)
    body_bytes: Callable[[Settings], int] = field(default=lambda s: s.limits.body_bytes)


def build(definition: Definition, settings: Settings, current: Current | None = None) -> FastAPI:
    """The application. Raises InvalidInputError where the settings lack what it needs.

    `current` are the settings' secrets as they are now; None: they stay.
    """
    runtime = Runtime(settings, definition.needs, definition.soft, current)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await runtime.open()
        async with definition.resources(runtime) as resources:
            app.state.resources = resources
            tasks = [asyncio.create_task(_repeat(loop, runtime)) for loop in definition.loops]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        await runtime.close()

    app = FastAPI(
        title=definition.title,
        version=settings.version,
        description=PUBLIC_DOC,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.documented(),
    )
    app.state.runtime = runtime
    app.state.tokens = runtime.tokens
    app.add_middleware(BodyLimit, limit=definition.body_bytes(settings))
    definition.dress(app, settings)
    app.add_middleware(Surroundings, runtime=runtime)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.include_router(health.router)
    for router in definition.routers:
        app.include_router(router)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


async def _repeat(loop: Loop, runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(loop.seconds)
        try:
            await loop.work(runtime)
        except ApiError as error:
            logger().warning("loop", loop=loop.name, detail=str(error))
        except Exception:  # noqa: BLE001 - logged; the loop goes on
            logger().exception("loop", loop=loop.name)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schema that every problem has."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**problem.pop("$defs"), "Problem": problem}
        app.openapi_schema = found
    return app.openapi_schema


def _request_id(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for it
    return problem_response(error, _request_id(request))


_BY_STATUS: dict[int, Kind] = {
    400: problems.MALFORMED,
    404: problems.NOT_FOUND,
    405: problems.METHOD,
    413: problems.TOO_LARGE,
}


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: an unknown path, a method, an unreadable body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    kind = _BY_STATUS.get(error.status_code, problems.MALFORMED)
    made = ApiError(kind, str(error.detail), headers=dict(error.headers or {}))
    return problem_response(made, _request_id(request))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem_response(
            ApiError(problems.MALFORMED, "the body is not JSON"), _request_id(request)
        )
    fields = tuple(
        FieldProblem(where=".".join(map(str, one["loc"])), reason=_reason(one)) for one in found
    )
    return problem_response(
        ApiError(problems.INVALID, f"{len(fields)} fields are wrong", fields=fields),
        _request_id(request),
    )


def _reason(error: dict[str, Any]) -> str:
    text = str(error["msg"])
    with suppress(KeyError):
        text = {
            "extra_forbidden": "unknown field",
            "missing": "is required",
        }[error["type"]]
    return text.removeprefix("Value error, ")
