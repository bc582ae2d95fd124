"""TLS on every port of a small cluster with services: verified, and nothing in the clear."""

import socket
from collections.abc import Iterator
from typing import cast

import psycopg
import pytest
import redis
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster import tls
from cluster.clock import wait_for
from cluster.errors import UnreachableError
from cluster.handshake import presented
from cluster.inventory import Kind
from cluster.server import Server
from cluster.shown import Port, Shows, ports
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import Stage
from mongo import nodes
from postgres import names
from postgres.client import first_line
from skillswap_ops.certificates import listed
from skillswap_ops.engines import all_servers
from skillswap_ops.monitoring.exporter import Exporter
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.tls_load import under_load

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]

SECONDS = 3.0
MVP = [service.name for service in CATALOGUE.at(Stage.MVP)]
REFUSAL = "SSL required|no encryption"  # pgbouncer's, and PostgreSQL's
ALERT = b"\x15\x03"  # the first bytes of TLS's own "no"
NOT_BY_HTTP = b"HTTP/1.0 400"  # what Go's servers say to a client without TLS: etcd


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A replica set of three and one of one, three etcds, a standby in another region."""
    made = make_lab(
        "127.78.0.0/16",
        "secured",
        tls={"enabled": True},
        mongo={
            "shards": [
                {"name": "shard-a", "segment": "users_skills", "members": 3},
                {"name": "shard-b", "segment": "sessions_messages", "members": 1},
            ],
            "config_servers": {"members": 1},
            "routers": 2,
        },
        edge={"haproxies": 2},
    )
    try:
        made.run("provision", seconds=400)
        once = [word for name in MVP for word in ("--replicas", f"{name}=1")]
        made.run("services", "deploy", "--stage", "mvp", *once, seconds=400)
        yield made
        made.run("destroy", "--yes")
    finally:
        remove_lab(made)


def test_every_port_shows_what_its_node_was_given(lab: Lab) -> None:
    servers = all_servers(lab.context)
    with_certificate = {(one.name, port) for one in servers for port in one.ports}
    found = listed(lab.context)
    assert {(one.server, one.port) for one in found.ports} == with_certificate
    assert not [one for one in found.ports if one.shows is not Shows.GIVEN]
    assert "as given" in lab.run("certs", "list").stdout


def test_no_port_answers_in_the_clear(lab: Lab) -> None:
    context = lab.context
    asked = ports(context.inventory, all_servers(context))
    assert len(asked) > 40
    said = {f"{port.server.name}:{port.number}": plain(lab, port) for port in asked}
    assert not {where: answer for where, answer in said.items() if answer}


def test_requirements_hold_and_monitoring_sees_everybody(lab: Lab) -> None:
    """All but the two that want more members than this cluster has."""
    found = cast("list[dict[str, str]]", lab.json("verify", code=1))
    assert len(found) > 60
    failed = [one["reason"].splitlines()[-1] for one in found if one["outcome"] == "failed"]
    assert len(failed) == 2, failed
    assert "shard-b has 1 votes" in failed[0]
    assert "there are 1 config servers" in failed[1]
    exporter = Exporter(lab.context)

    def everybody() -> bool:
        up = [one for one in exporter.readings() if one.metric == "node_up"]
        assert len(up) > 15
        if silent := [one.labels for one in up if not one.value]:
            raise UnreachableError(f"not seen: {silent}")
        return True

    try:
        wait_for("everybody", everybody, seconds=30, every=1)  # a busy node may miss a look
    finally:
        exporter.close()


def plain(lab: Lab, port: Port) -> str:
    """What a port says to a client that speaks no TLS; "" where it is turned away."""
    server = port.server
    if nodes.is_mongo(server.node):
        return plain_mongo(server)
    if port.number in server.negotiated:
        return plain_postgres(lab, server, port.number)
    if server.node.kind is Kind.REDIS:
        return plain_redis(server)
    return plain_http(server, port.number)


def plain_mongo(server: Server) -> str:
    host, wait = nodes.host(server.node), int(SECONDS * 1000)
    options = {"serverSelectionTimeoutMS": wait, "directConnection": True}
    with MongoClient[dict[str, object]](host, **options) as client:
        try:
            return str(client.admin.command("hello"))
        except PyMongoError:
            return ""


def plain_postgres(lab: Lab, server: Server, port: int) -> str:
    try:
        psycopg.connect(
            host=server.node.address,
            port=port,
            user=names.MONITOR,
            password=names.password(lab.context, names.MONITOR),
            dbname=lab.context.topology.postgres.database,
            connect_timeout=int(SECONDS),
            sslmode="disable",
        ).close()
    except psycopg.OperationalError as error:
        said = first_line(error)
        # A proxy without a server behind a port (no standby to read from) closes it.
        refused = any(word in said for word in (*REFUSAL.split("|"), "closed the connection"))
        return "" if refused else said
    return "let in"


def plain_redis(server: Server) -> str:
    client = redis.Redis(server.node.address, server.ports[0], socket_timeout=SECONDS)
    try:
        return str(client.ping())
    except redis.AuthenticationError as error:
        return str(error)
    except (redis.ConnectionError, redis.TimeoutError):
        return ""


def plain_http(server: Server, port: int) -> str:
    with socket.create_connection((server.node.address, port), SECONDS) as client:
        try:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            said = client.recv(200)
        except (TimeoutError, ConnectionResetError):
            return ""
    return "" if said.startswith((ALERT, NOT_BY_HTTP)) else said.decode("latin-1")


def test_certificates_rotate_under_load_and_nobody_feels_it(lab: Lab) -> None:
    context = lab.context
    before, processes = shown_by_port(context), pids(context)
    with under_load(context) as load:
        wait_for("load", lambda: all(one.fine > 20 for one in load.streams), seconds=60)
        lab.run("certs", "rotate")
        done = [one.fine for one in load.streams]
        wait_for(
            "load on what is new",
            lambda: all(one.fine > n + 20 for one, n in zip(load.streams, done, strict=True)),
            seconds=60,
        )
        load.end()
        assert {one.name: dict(one.wrong) for one in load.streams if one.wrong} == {}
        assert [one.lost() for one in load.ledgers] == [0] * len(load.ledgers)
    after = shown_by_port(lab.context)
    assert {*before.values()}.isdisjoint(after.values())
    assert pids(context) == processes
    assert not [one for one in listed(lab.context).ports if one.shows is not Shows.GIVEN]
    lab.run("provision")
    assert shown_by_port(lab.context) == after
    assert pids(context) == processes


def shown_by_port(context: LocalContext) -> dict[tuple[str, int], str]:
    """The serial number of what is seen at every port."""
    return {
        (port.server.name, port.number): presented(
            port.server.node.address,
            port.number,
            context.trust,
            negotiated=port.number in port.server.negotiated,
            own=tls.operator_file(context),
        ).serial
        for port in ports(context.inventory, all_servers(context))
    }


def pids(context: LocalContext) -> dict[str, int | None]:
    return {one.name: context.target.state(one).pid for one in all_servers(context)}
