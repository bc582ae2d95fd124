"""What a service answers when it does not do what was asked: RFC 9457, and nothing else.

Each kind of problem is declared once; an operation names those that it can answer, so that OpenAPI
lists all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:skillswap:problem:"
RETRY_SECONDS = 2  # a client's first pause; it should then double it


@dataclass(frozen=True)
class Kind:
    """A kind of problem: `slug` ends its type URI."""

    slug: str
    status: int
    title: str


MALFORMED = Kind("malformed", 400, "The request cannot be read")
UNAUTHENTICATED = Kind("unauthenticated", 401, "A valid access token is required")
WRONG_CREDENTIALS = Kind("wrong-credentials", 401, "E-mail or password is wrong")
TOKEN_REUSED = Kind("refresh-token-reused", 401, "The refresh token is not good any more")
FORBIDDEN = Kind("forbidden", 403, "This is not yours to do")
BANNED = Kind("banned", 403, "The account is banned")
NOT_FOUND = Kind("not-found", 404, "There is no such thing, or not for you")
METHOD = Kind("method-not-allowed", 405, "This is not done by that method")
CONFLICT = Kind("conflict", 409, "It is there already")
WRONG_STATE = Kind("wrong-state", 409, "Its state does not allow that")
IN_PROGRESS = Kind("in-progress", 409, "An earlier try of the same request is still running")
TOO_LARGE = Kind("too-large", 413, "The body is longer than allowed")
INVALID = Kind("invalid", 422, "The request does not have the declared form")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The Idempotency-Key was used for something else")
DECLINED = Kind("declined", 402, "The provider declined it")
TOO_MANY = Kind("too-many-requests", 429, "Too many requests")
INTERNAL = Kind("internal", 500, "The service failed; the request id finds out why")
NOT_CONFIGURED = Kind("not-configured", 501, "No provider is configured for this")
BAD_UPSTREAM = Kind("bad-upstream", 502, "A service behind this one answered nonsense")
UNAVAILABLE = Kind("unavailable", 503, "A store or a service is unreachable; try again")
DRAINING = Kind("draining", 503, "The instance is shutting down")
TIMEOUT = Kind("timeout", 504, "It took longer than the deadline; it may still be done")

ALWAYS = (MALFORMED, TOO_LARGE, INVALID, INTERNAL, UNAVAILABLE, TIMEOUT)
AUTHENTICATED = (UNAUTHENTICATED, FORBIDDEN)


class FieldProblem(BaseModel):
    """One field that is wrong."""

    where: str = Field(description="Path of the field, as `body.debut`")
    reason: str


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str
    fields: list[FieldProblem] | None = None


class ApiError(Exception):
    """Ends a request with a problem. `detail` is shown to the client: no secret, no address."""

    def __init__(
        self,
        kind: Kind,
        detail: str = "",
        *,
        fields: tuple[FieldProblem, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{kind.slug}: {detail}")
        self.kind = kind
        self.detail = detail
        self.fields = fields
        self.headers = dict(headers or {})


def document(error: ApiError, request_id: str) -> dict[str, Any]:
    """The body of the answer."""
    problem = Problem(
        type=TYPE_PREFIX + error.kind.slug,
        title=error.kind.title,
        status=error.kind.status,
        detail=error.detail,
        request_id=request_id,
        fields=list(error.fields) or None,
    )
    return problem.model_dump(exclude_none=True)


def headers(error: ApiError) -> dict[str, str]:
    """The headers that a client of this kind of problem needs."""
    found = dict(error.headers)
    if error.kind.status in {429, 503}:
        found.setdefault("Retry-After", str(RETRY_SECONDS))
    if error.kind.status == 401:
        found.setdefault("WWW-Authenticate", 'Bearer realm="skillswap"')
    return found


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these kinds and those that any operation can answer."""
    by_status: dict[int, list[Kind]] = {}
    for kind in (*ALWAYS, *kinds):
        same = by_status.setdefault(kind.status, [])
        if kind not in same:
            same.append(kind)
    return {status: _response(same) for status, same in sorted(by_status.items())}


def _response(kinds: list[Kind]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"`{kind.slug}`: {kind.title}" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
