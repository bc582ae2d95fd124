"""The ways to other services: through one of the proxies, and another one where that is gone.

Every proxy leads to every service, so a base URL names a proxy to begin with, and
`Settings.proxies` the ones that may take its place.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from cluster.tls_context import client_context
from manifests.services.settings import ServiceTls

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


def alternatives(url: str, proxies: Sequence[str]) -> tuple[str, ...]:
    """The URL, then the same through each other proxy; alone where its host is no proxy."""
    host = urlsplit(url).hostname
    others = [proxy for proxy in proxies if proxy != host] if host in proxies else []
    return (url, *(url.replace(f"//{host}", f"//{other}", 1) for other in others))


class AnyProxy(httpx.AsyncBaseTransport):
    """Sends a request through another proxy where the one it names takes no connections.

    Only what was never sent goes another way. Whichever proxy worked last is tried first, so that
    a machine that is gone costs one request its connect timeout, and not every one.
    """

    def __init__(self, proxies: Sequence[str], inner: httpx.AsyncBaseTransport) -> None:
        self._proxies = tuple(proxies)
        self._inner = inner
        self._worked: str | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises the last way's error where no way is open."""
        *ways, last = self._ways(request.url.host)
        for host in ways:
            try:
                return await self._through(request, host)
            except NOT_SENT:
                continue
        return await self._through(request, last)

    async def aclose(self) -> None:
        """End the connections."""
        await self._inner.aclose()

    def _ways(self, named: str) -> tuple[str, ...]:
        if named not in self._proxies:
            return (named,)
        first = self._worked or named
        return (first, *(proxy for proxy in self._proxies if proxy != first))

    async def _through(self, request: httpx.Request, host: str) -> httpx.Response:
        sent = httpx.Request(
            request.method,
            request.url.copy_with(host=host),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        answer = await self._inner.handle_async_request(sent)
        self._worked = host
        return answer


def transport(
    proxies: Sequence[str], tls: ServiceTls | None, *, connections: int, idle_seconds: float
) -> AnyProxy:
    """The transport of an httpx client, with its pool; it verifies where there is TLS."""
    verify = client_context(tls.trust) if tls else True
    limits = httpx.Limits(max_connections=connections, keepalive_expiry=idle_seconds)
    return AnyProxy(proxies, httpx.AsyncHTTPTransport(verify=verify, limits=limits))
