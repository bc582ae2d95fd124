"""Tokens, cursors, addresses, paths: the pure parts that guard the door."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from manifests.services.settings import Jwt
from skillswap_ops.services.base.paging import Cursor, after, next_cursor, parse
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.tokens import Tokens
from skillswap_ops.services.gateway.routing import (
    client_address,
    request_headers,
    response_headers,
    service_of,
)

USER = "5b4f2c34-3f0e-4c7e-9f7e-0a4c2f1d9e11"
KEYS = Jwt(active="k1", keys={"k1": SecretStr("a" * 32), "k0": SecretStr("b" * 32)})


def refused(token: str, tokens: Tokens | None = None) -> str:
    with pytest.raises(ApiError) as error:
        (tokens or Tokens(KEYS)).verify(token)
    assert error.value.kind.status == 401
    return error.value.detail


def test_a_token_says_who_and_what_they_may() -> None:
    who = Tokens(KEYS).verify(Tokens(KEYS).access(USER, ("APPRENANT", "ADMIN")))
    assert (who.subject, who.roles) == (USER, {"APPRENANT", "ADMIN"})
    assert who.expires_at - who.issued_at == KEYS.access_seconds
    assert not who.is_service
    service = Tokens(KEYS).verify(Tokens(KEYS).service("chat"))
    assert service.is_service
    assert service.subject == "service:chat"


def test_an_old_key_verifies_while_it_is_known() -> None:
    old = Tokens(Jwt(active="k0", keys=KEYS.keys)).access(USER, ())
    assert Tokens(KEYS).verify(old).subject == USER
    without = Jwt(active="k1", keys={"k1": KEYS.keys["k1"]})
    assert refused(old, Tokens(without)) == "the token is not valid"


def test_the_leeway_is_what_is_said() -> None:
    def issued(ago: float) -> str:
        return Tokens(KEYS, clock=lambda: time.time() - ago).access(USER, ())

    life, leeway = KEYS.access_seconds, KEYS.leeway_seconds
    assert Tokens(KEYS).verify(issued(life + leeway - 3)).subject == USER
    assert refused(issued(life + leeway + 2)) == "the token has expired"


def claims(**changes: object) -> dict[str, object]:
    now = int(datetime.now(UTC).timestamp())
    good: dict[str, object] = {
        "iss": KEYS.issuer,
        "aud": KEYS.audience,
        "sub": USER,
        "roles": [],
        "iat": now,
        "exp": now + 60,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: str = "a" * 32, kid: object = "k1", algorithm: str = "HS256", **c: object) -> str:
    return jwt.encode(claims(**c), key, algorithm, headers={"kid": kid})


def test_forged_tokens_are_refused() -> None:
    assert Tokens(KEYS).verify(signed()).subject == USER
    for token in (
        "",
        "a.b.c",
        signed(key="c" * 32),
        signed(kid="k9"),
        signed(aud="other"),
        signed(iss="other"),
        signed(sub=None),
        signed(exp=None),
        signed(sub="not-a-uuid"),
        signed(roles="ADMIN"),
        signed(roles=[1]),
        signed(key="a" * 64, algorithm="HS512"),
        jwt.encode(claims(), "", "none", headers={"kid": "k1"}),
        signed()[:-4] + "AAAA",
    ):
        assert refused(token) == "the token is not valid"


# Cursors


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1)))
def test_a_cursor_comes_back(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    cursor = Cursor(at, str(uuid4()))
    assert parse(cursor.text()) == cursor


@given(st.text(max_size=60))
def test_anything_else_is_refused(text: str) -> None:
    with suppress(ApiError):
        assert isinstance(parse(text), Cursor)


@pytest.mark.parametrize(
    "text", ["", "e30", "WzEsMl0", "WyJhIiwiYiJd", "WzFlOTk5LCJhIl0", "bnVsbA", "é"]
)
def test_decoded_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as error:
        parse(text)
    assert error.value.kind.slug == "invalid"


def test_pages_do_not_overlap_where_times_are_equal() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    query = after(Cursor(at, "b"), "cree_le", "id")
    assert query == {"$or": [{"cree_le": {"$gt": at}}, {"cree_le": at, "id": {"$gt": "b"}}]}
    down = after(Cursor(at, "b"), "cree_le", "id", newest_first=True)
    assert down == {"$or": [{"cree_le": {"$lt": at}}, {"cree_le": at, "id": {"$lt": "b"}}]}
    rows = [{"cree_le": at, "id": USER}]
    assert next_cursor(rows, 2, "cree_le", "id") is None
    assert parse(next_cursor(rows, 1, "cree_le", "id") or "").key == USER


# The gateway


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/auth/login", "auth"),
        ("/users/me", "auth"),
        ("/matches", "skills"),
        ("/classrooms/x", "virtual-classroom"),
        ("/internal/users/x", None),
        ("/auth/../internal/users/x", None),
        ("/auth/%2e%2e/internal/x", None),
        ("/auth/%252e%252e/internal/x", None),
        ("/auth%2f..%2finternal/x", None),
        ("/auth/..\\internal", None),
        ("/", None),
        ("//internal/x", None),
        ("/nothing", None),
    ],
)
def test_paths_lead_to_services_and_not_upwards(path: str, service: str | None) -> None:
    assert service_of(path) == service


def test_who_asks_is_not_what_they_say() -> None:
    proxies = ("10.0.0.1", "10.0.0.2")
    assert client_address("9.9.9.9", "1.2.3.4", proxies) == "9.9.9.9"
    assert client_address("10.0.0.1", "8.8.8.8", proxies) == "8.8.8.8"
    assert client_address("10.0.0.1", "1.2.3.4, 8.8.8.8, 10.0.0.2", proxies) == "8.8.8.8"
    assert client_address("10.0.0.1", "", proxies) == "10.0.0.1"
    assert client_address("10.0.0.1", "<script>", proxies) == "10.0.0.1"


def test_headers_of_a_connection_stay_with_it() -> None:
    given_headers = [
        ("host", "public"),
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("transfer-encoding", "chunked"),
        ("x-forwarded-for", "1.2.3.4"),
        ("authorization", "Bearer t"),
        ("x-request-id", "theirs"),
    ]
    assert request_headers(given_headers, "8.8.8.8", "ours") == [
        ("authorization", "Bearer t"),
        ("x-forwarded-for", "8.8.8.8"),
        ("x-request-id", "ours"),
    ]
    answer = [("server", "uvicorn"), ("content-type", "x"), ("connection", "close")]
    assert response_headers(answer) == {"content-type": "x"}
