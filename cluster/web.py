"""One HTTP request with a deadline, for the REST interfaces of all that has one."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from cluster.errors import UnreachableError
from cluster.tls_context import client_context

ANSWER_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Answer:
    """An HTTP status and the body as it came."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether the status is of the 200s."""
        return 200 <= self.status < 300

    def object(self) -> dict[str, object]:
        """The body as a JSON object; empty where it is none."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def request(
    address: str,
    port: int,
    method: str,
    path: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 1.0,
    trust: str = "",
    own: str = "",
) -> Answer:
    """Send one request; `seconds` bounds the connection and each wait for data.

    `trust` is the file by which the server is verified (empty: it speaks in the clear), `own` one
    with a certificate for servers that ask for one.

    Raises UnreachableError where nothing, or nothing like HTTP, answers in time.
    """
    try:
        connection = _connection(address, port, seconds, trust, own)
    except OSError as error:
        raise UnreachableError(f"{trust} cannot be read: {_reason(error)}") from error
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.read(ANSWER_BYTES).decode("utf-8", "replace"))
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{address}:{port} does not answer: {_reason(error)}") from error
    finally:
        connection.close()


def _connection(address: str, port: int, seconds: float, trust: str, own: str) -> HTTPConnection:
    if not trust:
        return HTTPConnection(address, port, timeout=seconds)
    context = client_context(trust, own)
    return HTTPSConnection(address, port, timeout=seconds, context=context)


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP basic authentication."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
