"""One user's client of the API: through either proxy, with a deadline for each request."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import httpx

from cluster.drill.outcome import Result
from cluster.tls_context import client_context
from skillswap_ops.traffic.outcomes import NOT_SENT, Sent, result, result_of_error

CONNECT_SECONDS = 1.0  # a proxy that is there accepts at once
Json = dict[str, object]


@dataclass(frozen=True)
class Call:
    """A request. `key` is its Idempotency-Key; `token` the user's access token, "" without."""

    method: str
    path: str
    token: str = ""
    body: Json | None = None
    query: dict[str, str] = field(default_factory=dict)
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        found = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return found | ({"Idempotency-Key": self.key} if self.key else {})

    @property
    def sent(self) -> Sent:
        """How often its first try may reach a service."""
        return Sent.KEYED if self.key else Sent.ONCE


@dataclass(frozen=True)
class Answered:
    """What became of a request; `body` is the JSON object that came, {} for none."""

    result: Result
    body: Json = field(default_factory=dict)
    status: int = 0


class Client:
    """Keeps a connection to one proxy, and takes the other one where none can be made.

    `address` is where its connections come from; the edge counts requests by it. `trust` is the
    file by which it verifies the proxies; empty: they speak in the clear.
    """

    def __init__(
        self,
        bases: Sequence[str],
        first: int = 0,
        address: str | None = None,
        transport: httpx.BaseTransport | None = None,
        trust: str = "",
    ) -> None:
        self._bases, self._turn = tuple(bases), first
        self._http = httpx.Client(
            transport=transport
            or httpx.HTTPTransport(verify=_context(trust), local_address=address),
            trust_env=False,
        )

    def send(self, call: Call, seconds: float, sent: Sent | None = None) -> Answered:
        """Send it once, and say what became of it. Raises nothing that httpx raises."""
        sent = sent or call.sent
        found = Answered(result_of_error(httpx.ConnectError("no proxy"), sent))
        for _ in self._bases:
            try:
                return _answered(self._request(call, seconds), sent)
            except httpx.HTTPError as error:
                self._turn += 1
                found = Answered(result_of_error(error, sent))
                if not isinstance(error, NOT_SENT):
                    break
        return found

    def _request(self, call: Call, seconds: float) -> httpx.Response:
        return self._http.request(
            call.method,
            self._bases[self._turn % len(self._bases)] + call.path,
            json=call.body,
            params=call.query,
            headers=call.headers,
            timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
        )

    def close(self) -> None:
        """End the connection."""
        self._http.close()


def _answered(answer: httpx.Response, sent: Sent) -> Answered:
    body: Json = {}
    if answer.is_success and answer.content:
        found = answer.json()
        body = found if isinstance(found, dict) else {}
    return Answered(result(answer, sent), body, answer.status_code)


@cache
def _context(trust: str) -> ssl.SSLContext:
    """One for all clients: each would load the certificates anew."""
    return client_context(trust) if trust else ssl.create_default_context()
