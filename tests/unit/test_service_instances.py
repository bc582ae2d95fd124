"""What an instance reads, and what is made of its answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from cluster.context import Context
from cluster.errors import InvalidInputError
from cluster.inventory import inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from cluster.server import Server
from cluster.web import Answer
from manifests.services import edge, instances, places
from manifests.services.catalogue import CATALOGUE
from manifests.services.edge import View
from manifests.services.instances import Stores, check_settings
from manifests.services.observe import Health, in_rotation, parse_health
from manifests.services.releases import Revision, Value
from manifests.services.settings import (
    MongoStore,
    PostgresStore,
    RedisStore,
    S3Store,
    Settings,
    parse,
)
from tests.unit.topology_samples import topology

STORES = Stores(
    MongoStore(hosts=("r1:27017", "r2:27017"), user="app", password=SecretStr("mongo-secret")),
    PostgresStore(
        hosts=("h1", "h2"),
        port=5000,
        dbname="payments",
        user="payments_app",
        password=SecretStr("postgres-secret"),
    ),
    RedisStore(host="127.0.0.1", user="app", password=SecretStr("redis-secret")),
)
DEPLOYED = ("gateway", "auth", "chat", "sessions")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    shape = topology({})
    layout = Layout(tmp_path)
    return Context(
        shape,
        inventory(shape),
        layout,
        SecretStore(layout.secrets),
        None,  # type: ignore[arg-type] - nothing is run
        Programs(),
    )


def revision(settings: dict[str, Value] | None = None) -> Revision:
    return Revision(
        number=1,
        version="0.1.0-abc",
        source="x",
        python="/usr/bin/python3",
        settings=settings or {},
        replicas=2,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def made(context: Context, name: str, number: int = 1, made_of: Revision | None = None) -> Server:
    service = CATALOGUE.named(name)
    return instances.server(context, STORES, DEPLOYED, service, made_of or revision(), number)


def read(server: Server) -> Settings:
    return parse(json.loads(server.files[0].text), "test")


def test_an_instance_has_its_own_address_and_the_stores_that_it_uses(context: Context) -> None:
    found = read(made(context, "chat", 2))
    node = places.instance(context.topology, "chat", 2)
    assert (found.service, found.instance, found.host, found.port, found.zone) == (
        "chat",
        "chat-2",
        node.address,
        8080,
        node.zone,
    )
    assert found.version == "0.1.0-abc"
    assert (found.mongo is None, found.redis is None) == (False, False)
    assert (found.postgres, found.s3) == (None, None)
    assert read(made(context, "payments")).postgres is not None


def test_the_drain_is_what_the_proxies_need(context: Context) -> None:
    probe = CATALOGUE.named("chat").probes.ready
    server = made(context, "chat")
    found = read(server)
    assert found.drain_seconds == edge.drain_seconds(probe)
    assert server.stop_seconds > found.drain_seconds + found.deadlines.request


def test_instances_share_the_stores_hosts(context: Context) -> None:
    first = {read(made(context, "chat", number)).mongo.hosts[0] for number in (1, 2)}  # type: ignore[union-attr]
    assert first == {"r1:27017", "r2:27017"}


def test_a_service_calls_what_it_depends_on_and_some_call_all_that_is_deployed(
    context: Context,
) -> None:
    assert set(read(made(context, "chat")).upstreams) == {"auth"}
    assert set(read(made(context, "auth")).upstreams) == {"chat", "sessions"}
    upstreams = read(made(context, "gateway")).upstreams
    assert set(upstreams) == {"auth", "chat", "sessions"}
    proxy = places.proxy_of(context.topology, 1)
    assert upstreams["auth"] == f"http://{proxy.at(places.internal_port('auth'))}"


def test_secrets_are_in_a_file_of_mode_0600_alone(context: Context) -> None:
    server = made(context, "chat")
    [file] = server.files
    assert file.secret
    key = context.secrets.key(instances.JWT_SECRET).get_secret_value()
    words = " ".join([*server.argv, *(f"{k}={v}" for k, v in server.env)])
    for secret in ("mongo-secret", "redis-secret", key):
        assert secret in file.text
        assert secret not in words
        assert secret not in repr(read(server))


def test_the_same_revision_is_always_rendered_alike(context: Context) -> None:
    assert made(context, "gateway") == made(context, "gateway")
    assert made(context, "gateway") != made(context, "gateway", 2)


def test_settings_of_a_revision_go_into_the_file(context: Context) -> None:
    changed = revision({"limits.login_per_minute": 5, "cors_origins": ("https://a.example",)})
    found = read(made(context, "gateway", made_of=changed))
    assert found.limits.login_per_minute == 5
    assert found.cors_origins == ("https://a.example",)
    assert found.limits.user_per_minute == read(made(context, "gateway")).limits.user_per_minute


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limits.nonsense": 5}, "limits.nonsense: unknown field"),
        ({"limits.login_per_minute": 0}, "limits.login_per_minute: must be at least 1 (got 0)"),
        ({"limit.login_per_minute": 5}, 'not one that can be set (did you mean "limits"?)'),
        ({"host": "elsewhere"}, "--set host: not one that can be set"),
        ({"drain_seconds": 0}, "--set drain_seconds: not one that can be set"),
        ({"log_level.x": 1}, "--set log_level.x: log_level has no parts"),
        ({"providers.ai.model": "m"}, "providers.ai.base_url: is required"),
        ({"providers.ai.key": "x"}, "a secret does not belong on a command line"),
    ],
)
def test_what_is_said_of_a_wrong_setting(changes: dict[str, Value], says: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_settings(changes)
    assert says in caught.value.message


def test_a_right_setting_is_taken() -> None:
    check_settings({"limits.login_per_minute": 5, "log_level": "debug"})
    check_settings({"providers.ai.base_url": "http://localhost:1", "providers.ai.model": "m"})


def test_without_redis_what_needs_it_is_refused(context: Context) -> None:
    without = Stores(STORES.mongo, STORES.postgres, None)
    service = CATALOGUE.named("chat")
    with pytest.raises(InvalidInputError, match="chat needs Redis"):
        instances.server(context, without, DEPLOYED, service, revision(), 1)


def test_files_without_an_object_store_are_refused_with_what_to_do(context: Context) -> None:
    service = CATALOGUE.named("files")
    with pytest.raises(InvalidInputError, match="files needs an object store") as caught:
        instances.instance_settings(context, STORES, ("files",), service, revision(), 1)
    assert "objects.members to 1" in caught.value.hint
    store = S3Store(
        endpoint="https://s3.example:443",
        region="eu-west-1",
        bucket="media",
        access_key="key",
        secret_key=SecretStr("s3-secret"),
    )
    having = replace(STORES, s3=store)
    found = instances.instance_settings(context, having, ("files",), service, revision(), 1)
    assert found.s3 == store
    other = instances.instance_settings(
        context, having, ("groups",), CATALOGUE.named("groups"), revision(), 1
    )
    assert other.s3 is None


# What instances and proxies say


def answer(code: int, **fields: object) -> Answer:
    return Answer(code, json.dumps(fields))


def test_an_instance_that_is_ready() -> None:
    said = parse_health(answer(200, version="1"), answer(200, status="ready"))
    assert said == Health(alive=True, version="1", ready=True, why="")


def test_an_unready_instance_says_why() -> None:
    alive = answer(200, version="1")
    said = parse_health(alive, answer(503, title="x", detail="unreachable: mongo", status=503))
    assert said == Health(alive=True, version="1", ready=False, why="unreachable: mongo")
    assert parse_health(alive, Answer(502, "<html>")).why == "HTTP 502"


def test_one_that_is_ready_and_does_not_live_is_not_ready() -> None:
    assert not parse_health(answer(500), answer(200)).ready


def test_in_rotation_is_what_every_proxy_says() -> None:
    both, one = View(frozenset({"a-1", "a-2"})), View(frozenset({"a-1"}))
    assert in_rotation("a-1", [both, one])
    assert not in_rotation("a-2", [both, one])
    assert not in_rotation("a-1", [])
