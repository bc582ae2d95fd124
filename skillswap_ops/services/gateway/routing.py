"""Which service a path belongs to, what may be asked without a token, which headers pass. Pure."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from urllib.parse import unquote

# First segment of the path, service. `/internal` is nobody's: it is for services only.
PREFIXES: Mapping[str, str] = {
    "auth": "auth",
    "users": "auth",
    "skills": "skills",
    "matches": "skills",
    "sessions": "sessions",
    "chat": "chat",
    "reviews": "reviews",
    "notifications": "notifications",
    "reports": "admin",
    "admin": "admin",
    "payments": "payments",
    "files": "files",
    "groups": "groups",
    "gamification": "gamification",
    "ai": "ai",
    "classrooms": "virtual-classroom",
}
PUBLIC = frozenset(
    {
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/logout"),
    }
)
# Tries of these are what guesses passwords and fills the user table.
COSTLY = frozenset({("POST", "/auth/register"), ("POST", "/auth/login")})
# RFC 9110 §7.6.1, and what belongs to one connection.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OURS = frozenset({"host", "content-length", "x-request-id", "forwarded"})
FORWARDED = "x-forwarded-for"


def service_of(raw_path: str) -> str | None:
    """The service that a path belongs to; None for a path that is nobody's or leads upwards."""
    segments = unquote(unquote(raw_path)).replace("\\", "/").split("/")
    if ".." in segments or "." in segments:
        return None
    return PREFIXES.get(segments[1]) if len(segments) > 1 else None


def request_headers(
    headers: Iterable[tuple[str, str]], client: str, request_id: str
) -> list[tuple[str, str]]:
    """A request's headers as the service gets them."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key == "connection"
        for name in value.split(",")
    }
    dropped = HOP_BY_HOP | OURS | {FORWARDED} | named
    passed = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*passed, (FORWARDED, client), ("x-request-id", request_id)]


def response_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A service's headers as the client gets them."""
    dropped = HOP_BY_HOP | {"x-request-id", "date", "server"}
    return {name: value for name, value in headers if name.lower() not in dropped}


def client_address(peer: str, forwarded: str, proxies: Iterable[str]) -> str:
    """Whose request it is: the nearest address that is not one of our proxies.

    What a client itself writes into `X-Forwarded-For` stands to the left of what proxies add.
    """
    ours = {*proxies}
    chain = [part.strip() for part in forwarded.split(",") if part.strip()]
    address = peer
    while address in ours and chain:
        address = chain.pop()
    return address if _is_address(address) else peer


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
