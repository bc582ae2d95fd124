"""An instance whose password or signing key is changed under it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from pydantic import SecretStr
from pymongo.errors import OperationFailure

from manifests.services.settings import Jwt, MongoStore, PostgresStore, RedisStore, Settings
from skillswap_ops.services.base.current import Current, Passwords
from skillswap_ops.services.base.metrics import Metrics
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.tokens import Tokens
from skillswap_ops.services.stores.mongo import Mongo
from skillswap_ops.services.stores.mongo import unavailable as mongo_unavailable
from skillswap_ops.services.stores.postgres import _Connection
from skillswap_ops.services.stores.redis import _Password

USER = "00000000-0000-4000-8000-000000000001"
REFUSAL = OperationFailure("Authentication failed.", 18)


def settings(password: str, coming: str = "", jwt: Jwt | None = None) -> Settings:
    following = SecretStr(coming) if coming else None
    return Settings(
        service="sample",
        instance="sample-1",
        version="1",
        host="127.0.0.1",
        jwt=jwt or Jwt(active="k1", keys={"k1": SecretStr("1" * 64)}),
        mongo=MongoStore(
            hosts=("127.0.0.1:1",), user="app", password=SecretStr(password), next=following
        ),
        postgres=PostgresStore(
            hosts=("127.0.0.1",), port=1, dbname="d", user="u",
            password=SecretStr(password), next=following,
        ),
        redis=RedisStore(host="127.0.0.1", user="app", password=SecretStr(password)),
    )  # fmt: skip


def put(path: Path, found: Settings) -> None:
    """As a target writes it: another file in its place."""
    beside = path.with_suffix(".new")
    beside.write_text(found.to_json())
    beside.replace(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    put(path, settings("old"))
    return path


def test_the_file_is_read_again_where_it_is_another(file: Path) -> None:
    current = Current(settings("old"), file)
    assert current.passwords("mongo") == Passwords("old")
    assert not current.refresh()
    put(file, settings("old", "new"))
    assert current.passwords("postgres").all == ("old", "new")
    assert current.passwords("mongo").instead_of("old") == "new"
    assert current.passwords("mongo").instead_of("new") == "old"
    put(file, settings("new"))
    assert current.refresh()
    assert current.passwords("redis") == Passwords("new")
    assert current.passwords("mongo").instead_of("new") == ""
    file.write_text("{")
    assert not current.refresh()
    assert current.passwords("mongo") == Passwords("new")
    file.unlink()
    assert current.passwords("mongo") == Passwords("new")


def test_what_is_not_there_goes_unsaid_so_that_code_of_before_reads_the_file() -> None:
    assert '"next"' not in settings("old").to_json()
    assert '"until"' not in settings("old").to_json()
    assert '"next": "new"' in settings("old", "new").to_json()
    assert settings("old").fixed_json() == settings("new", "newer").fixed_json()
    assert "11111" not in settings("old").fixed_json()


def test_redis_is_asked_with_the_password_of_the_moment(file: Path) -> None:
    asked = _Password("app", Current(settings("old"), file))
    assert asked.get_credentials() == ("app", "old")
    put(file, settings("new"))
    assert asyncio.run(asked.get_credentials_async()) == ("app", "new")


@pytest.mark.parametrize(
    ("answers", "tried", "fails"),
    [
        ({"old": "", "new": "password authentication failed"}, ["old"], False),
        ({"old": "SASL authentication failed", "new": ""}, ["old", "new"], False),
        ({"old": "Connection refused", "new": ""}, ["old"], True),
        ({"old": "authentication failed", "new": "authentication failed"}, ["old", "new"], True),
    ],
)
def test_postgres_is_tried_with_the_coming_password_where_the_old_one_is_refused(
    answers: dict[str, str],
    tried: list[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails: bool,
) -> None:
    seen: list[str] = []

    async def connect(_cls: type, _conninfo: str = "", *, password: str, **_more: Any) -> str:
        seen.append(password)
        if answers[password]:
            raise psycopg.OperationalError(answers[password])
        return password

    monkeypatch.setattr(AsyncConnection, "connect", classmethod(connect))

    async def opened() -> object:
        return await _Connection.connect("", passwords=lambda: ("old", "new"), dbname="d")

    if fails:
        with pytest.raises(psycopg.OperationalError):
            asyncio.run(opened())
    else:
        assert asyncio.run(opened()) == seen[-1]
    assert seen == tried


def mongo(file: Path, told: Settings | None = None) -> Mongo:
    found = told or settings("old")
    assert found.mongo is not None
    return Mongo(found.mongo, found, Metrics("sample", "sample-1", "1"), Current(found, file))


def server_takes(
    store: Mongo, good: Callable[[], str]
) -> tuple[list[str], Callable[[], Awaitable[str]]]:
    """Work that logs in on a new connection of the store's."""
    tried: list[str] = []

    async def work() -> str:
        tried.append(store._password)
        if store._password != good():
            raise REFUSAL
        return "done"

    return tried, work


def test_mongo_is_tried_with_the_other_password_where_one_is_refused(file: Path) -> None:
    async def run() -> None:
        store = mongo(file)
        tried, work = server_takes(store, lambda: "new")
        put(file, settings("old", "new"))
        assert await store.read("find", work) == "done"
        assert await store.read("find", work) == "done"
        assert tried == ["old", "new", "new"]
        same = store.client
        store.renew()
        assert store.client is same
        put(file, settings("new"))
        store.renew()
        assert store.client is same
        await store.close()

    asyncio.run(run())


def test_mongo_takes_the_password_in_force_before_it_is_refused(file: Path) -> None:
    async def run() -> None:
        store = mongo(file)
        tried, work = server_takes(store, lambda: "new")
        put(file, settings("new"))
        store.renew()
        assert await store.write("insert", work) == "done"
        assert tried == ["new"]
        await store.close()

    asyncio.run(run())


def test_what_must_not_be_done_twice_is_not_but_the_next_try_logs_in(file: Path) -> None:
    async def run() -> None:
        store = mongo(file)
        tried, work = server_takes(store, lambda: "new")
        put(file, settings("old", "new"))
        with pytest.raises(ApiError, match="the log-in is refused"):
            await store.write("insert", work)
        assert await store.write("insert", work) == "done"
        assert tried == ["old", "new"]
        await store.close()

    asyncio.run(run())


def test_a_password_that_nobody_changed_and_nobody_takes_is_said_to_be_refused(file: Path) -> None:
    async def run() -> None:
        store = mongo(file)
        _, work = server_takes(store, lambda: "another")
        with pytest.raises(ApiError, match="the log-in is refused"):
            await store.write("insert", work)
        await store.close()

    asyncio.run(run())
    assert mongo_unavailable(REFUSAL) == "the log-in is refused"
    assert mongo_unavailable(OperationFailure("no", 13)) is None


def jwt(active: str, *keys: str, until: dict[str, int] | None = None) -> Jwt:
    secrets = {key: SecretStr(key * 20) for key in keys}
    return Jwt(active=active, keys=secrets, until=until or {})


def test_a_token_by_a_key_that_is_not_known_yet_has_the_file_read_again(file: Path) -> None:
    put(file, settings("old", jwt=jwt("k1", "k1")))
    current = Current(settings("old", jwt=jwt("k1", "k1")), file)
    tokens = Tokens(current.jwt, latest=lambda: current.jwt, renew=current.refresh)
    before = tokens.access(USER, ())
    after = Tokens(jwt("k2", "k2", "k1")).access(USER, ())
    with pytest.raises(ApiError):
        tokens.verify(after)
    put(file, settings("old", jwt=jwt("k2", "k2", "k1", until={"k1": 2**40})))
    assert tokens.verify(after).subject == USER
    assert tokens.verify(before).subject == USER
    put(file, settings("old", jwt=jwt("k2", "k2", "k1", until={"k1": 1})))
    current.refresh()
    with pytest.raises(ApiError):
        tokens.verify(before)
    assert tokens.verify(after).subject == USER
