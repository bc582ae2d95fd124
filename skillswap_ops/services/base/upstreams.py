"""Calls from one service to another: through its edge, with a token, a deadline and a breaker."""

from collections.abc import Mapping
from typing import Any

import httpx
import structlog

from manifests.services.settings import Settings
from skillswap_ops.services.base import problems, ways
from skillswap_ops.services.base.calls import Caller, Way
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.tokens import Tokens

Json = dict[str, Any]
CONNECT_SECONDS = 1.0
POOL = 50
IDLE_SECONDS = 2
REQUEST_ID = "X-Request-ID"
PASSING = {502, 503, 504}


class Upstreams:
    """One instance's way to the services that it needs, by name."""

    def __init__(
        self,
        settings: Settings,
        tokens: Tokens,
        metrics: Metrics,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._name = settings.service
        self._bases = settings.upstreams
        self._tokens = tokens
        seconds = settings.deadlines.upstream
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            transport=transport
            or ways.transport(
                settings.proxies, settings.tls, connections=POOL, idle_seconds=IDLE_SECONDS
            ),
        )
        self._callers = {
            name: Caller(Way(name, seconds, unavailable), settings.breaker, metrics)
            for name in settings.upstreams
        }

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Json | None:
        """The answer's JSON, None for 404. The caller's own service token is sent.

        `again` unless a second execution would change something. Raises UnavailableError, and
        ApiError (502) for any other refusal: between services it is a fault of ours.
        """
        caller = self._callers.get(service)
        if caller is None:
            raise ApiError(problems.NOT_CONFIGURED, f"{service} is not part of this deployment")

        async def work() -> httpx.Response:
            answer = await self._client.request(
                method,
                self._bases[service] + path,
                json=body,
                params=query,
                headers=self._headers(),
            )
            if answer.status_code in PASSING:
                answer.raise_for_status()
            return answer

        answer = await caller.call(f"{method} {path.split('/')[1]}", work, again=again)
        return _json(service, answer)

    def _headers(self) -> dict[str, str]:
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        headers = {"Authorization": f"Bearer {self._tokens.service(self._name)}"}
        return headers | ({REQUEST_ID: str(request_id)} if request_id else {})

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()


def _json(service: str, answer: httpx.Response) -> Json | None:
    if answer.status_code == 404:
        return None
    if answer.status_code == 204:
        return {}
    if answer.is_success:
        found: Json = answer.json()
        return found
    kind = problems.CONFLICT if answer.status_code == 409 else problems.BAD_UPSTREAM
    detail = answer.json().get("detail", "") if answer.status_code < 500 else ""
    raise ApiError(kind, f"{service} answered {answer.status_code}: {detail}")


def unavailable(error: Exception) -> str | None:
    """Why a service is unavailable by this error."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    return "no connection" if isinstance(error, httpx.TransportError) else None
