"""Who may do what: everything that must fail, tried with a right password on the shared cluster.

What fails without one is in test_cluster.py; the table is docs/privileges.md.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest
import redis
from psycopg import errors, pq
from psycopg.conninfo import make_conninfo
from pymongo.errors import OperationFailure

from cluster.clock import wait_for
from cluster.errors import RefusedError
from cluster.inventory import Kind, Node
from manifests.redis import PORT as REDIS_PORT
from mongo import members, nodes, spare
from mongo.client import Client, node_client, router_client
from mongo.credentials import ADMIN, APPLICATION, ARCHIVER, MONITOR, login
from postgres import names, patroni, servers
from postgres.scopes import away_scope, primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers
UNAUTHORIZED, NOT_SUPPORTED = 13, 115  # the segment router knows no `shutdown`, for anybody
SEGMENT, OTHER = "users_skills", "elsewhere"
NOBODY_SAYS_SO = b"28000"  # no line of pg_hba.conf lets this client in


@pytest.fixture(scope="module")
def context(shared_lab: Lab) -> LocalContext:
    return shared_lab.context


# MongoDB

Orders = tuple[tuple[str, dict[str, object]], ...]
BEYOND_EVERYBODY: Orders = (
    ("admin", {"find": "system.users"}),
    ("admin", {"createUser": "eve", "pwd": "x", "roles": ["root"]}),
    ("admin", {"grantRolesToUser": MONITOR, "roles": ["root"]}),
    ("admin", {"shutdown": 1}),
    ("admin", {"setParameter": 1, "logLevel": 1}),
    (OTHER, {"insert": "c", "documents": [{"_id": 1}]}),
    (OTHER, {"dropDatabase": 1}),
)
BEYOND_THE_APPLICATION: Orders = (
    (SEGMENT, {"drop": "privileges_test"}),
    (SEGMENT, {"dropDatabase": 1}),
    (SEGMENT, {"dropIndexes": "privileges_test", "index": "*"}),
    (SEGMENT, {"collMod": "privileges_test", "validator": {}}),
    ("admin", {"enableSharding": OTHER}),
    ("admin", {"listShards": 1}),
)
BEYOND_WHO_LOOKS: Orders = (
    (SEGMENT, {"find": "privileges_test"}),
    (SEGMENT, {"insert": "privileges_test", "documents": [{"_id": 2}]}),
    (SEGMENT, {"delete": "privileges_test", "deletes": [{"q": {}, "limit": 0}]}),
    (SEGMENT, {"drop": "privileges_test"}),
)
BEYOND_A_MEMBERS_GUEST: Orders = (
    *BEYOND_WHO_LOOKS,
    ("local", {"insert": "oplog.rs", "documents": [{}]}),
    ("admin", {"replSetStepDown": 10}),
    ("admin", {"fsync": 1, "lock": True}),
    ("admin", {"applyOps": []}),
)


def refused(client: Client, orders: Orders) -> None:
    for database, order in orders:
        with pytest.raises(OperationFailure) as refusal:
            client[database].command(order)
        assert refusal.value.code in {UNAUTHORIZED, NOT_SUPPORTED}, (
            database,
            order,
            refusal.value.details,
        )


@pytest.fixture(scope="module")
def collection(context: LocalContext) -> Iterator[None]:
    with router_client(nodes.routers(context), login(context, ADMIN)) as admin:
        admin[SEGMENT].privileges_test.insert_one({"_id": 1})
        yield
        assert admin[SEGMENT].privileges_test.count_documents({}) == 1
        admin[SEGMENT].drop_collection("privileges_test")


def test_mongodb_users_at_every_router(context: LocalContext, collection: None) -> None:
    for router in nodes.routers(context):
        with router_client([router], login(context, APPLICATION)) as application:
            assert application[SEGMENT].privileges_test.find_one()
            refused(application, (*BEYOND_EVERYBODY, *BEYOND_THE_APPLICATION))
        with router_client([router], login(context, MONITOR)) as monitor:
            assert monitor.admin.command("listShards")
            refused(monitor, (*BEYOND_EVERYBODY, *BEYOND_WHO_LOOKS))


def test_mongodb_users_at_a_member_itself(context: LocalContext, collection: None) -> None:
    [name] = [one.name for one in context.topology.mongo.shards if one.segment == SEGMENT]
    [shard] = [one for one in nodes.shards(context) if one.name == name]
    leads = spare.primary(members.observe(context, shard))
    assert leads
    primary = context.inventory.named(nodes.names(context)[leads.host])
    for user in (MONITOR, ARCHIVER):
        with node_client(primary, login(context, user)) as client:
            assert client.local["oplog.rs"].find_one()
            refused(client, (*BEYOND_EVERYBODY, *BEYOND_A_MEMBERS_GUEST))
    with pytest.raises(RefusedError), node_client(primary, login(context, APPLICATION)) as client:
        client.admin.command("ping")


# PostgreSQL

BEYOND_ANY_ROLE = (
    "CREATE ROLE eve",
    "CREATE DATABASE eve",
    "CREATE TABLE public.eve ()",
    "ALTER SYSTEM SET fsync = off",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_promote()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
)
BEYOND_WHO_READS_NO_ROW = ("TABLE payments.privileges_test", "DROP TABLE payments.privileges_test")


@contextmanager
def role(
    context: LocalContext, name: str, address: str, database: str, port: int
) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(
        host=address,
        port=port,
        user=name,
        password=names.password(context, name),
        dbname=database,
        autocommit=True,
        connect_timeout=5,
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def table(context: LocalContext) -> Iterator[None]:
    leader = patroni.leader_of(primary_scope(context)).address
    database = context.topology.postgres.database
    with role(context, names.SUPERUSER, leader, database, names.POSTGRES_PORT) as connection:
        connection.execute("CREATE TABLE payments.privileges_test (n int)")
        yield
        connection.execute("DROP TABLE payments.privileges_test")


def dr(context: LocalContext) -> Node:
    [node] = away_scope(context, None).members
    return node


def roles_of(context: LocalContext) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each role that is no superuser, where it may log in, and what more it must not."""
    database = context.topology.postgres.database
    application = names.application(context.topology)
    yield application, database, ("DROP TABLE payments.privileges_test",)
    for name in (names.MONITOR, names.POOLER):
        yield name, database, BEYOND_WHO_READS_NO_ROW
    for name in (names.MONITOR, names.BACKUP, names.REWIND):
        yield name, "postgres", ()


def test_postgresql_roles_at_primary_and_dr(context: LocalContext, table: None) -> None:
    for address in (patroni.leader_of(primary_scope(context)).address, dr(context).address):
        for name, database, more in roles_of(context):
            with role(context, name, address, database, names.POSTGRES_PORT) as connection:
                for statement in (*BEYOND_ANY_ROLE, *more):
                    with pytest.raises(
                        (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)
                    ):
                        connection.execute(statement.encode())
    leader = patroni.leader_of(primary_scope(context)).address
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied"),
        role(context, names.REPLICATION, leader, "payments", names.POSTGRES_PORT),
    ):
        pass


def test_pgbouncers_console_is_for_looking(context: LocalContext) -> None:
    address = patroni.leader_of(primary_scope(context)).address

    def console(user: str) -> pq.abc.PGconn:
        password = names.password(context, user)
        words = make_conninfo(
            host=address,
            port=names.PGBOUNCER_PORT,
            dbname="pgbouncer",
            user=user,
            password=password,
        )
        return pq.PGconn.connect(words.encode())

    link = console(names.MONITOR)
    assert link.exec_(b"SHOW POOLS").ntuples
    for order in (b"PAUSE", b"KILL payments", b"SHUTDOWN", b"RELOAD", b"SET verbose = 1"):
        assert b"admin access needed" in link.exec_(order).error_message, order
    link.finish()
    assert console(names.application(context.topology)).status == pq.ConnStatus.BAD
    # Who is unknown there, or has no password, must not end it either.
    for user, password in (("nobody", "wrong"), (names.application(context.topology), "wrong")):
        words = make_conninfo(
            host=address,
            port=names.PGBOUNCER_PORT,
            dbname="pgbouncer",
            user=user,
            password=password,
        )
        assert pq.PGconn.connect(words.encode()).status == pq.ConnStatus.BAD
    again = console(names.MONITOR)
    assert again.exec_(b"SHOW POOLS").ntuples
    again.finish()


# The DR region


def test_dr_does_not_promote_itself(context: LocalContext) -> None:
    """Not even where Patroni is told that it follows nobody any more."""
    node, password = dr(context), names.password(context, names.REST_USER)
    follows = patroni.config(node)["standby_cluster"]
    assert not servers.promotion_marker(context, node).exists()
    log = context.layout.log(node.name)
    before, size = patroni.state(node).timeline, log.stat().st_size
    patroni.change_config(node, password, {"standby_cluster": None})
    try:

        def refused_now() -> bool:
            return b"pre_promote script" in log.read_bytes()[size:]

        wait_for("a refusal", refused_now, seconds=60)
    finally:
        patroni.change_config(node, password, {"standby_cluster": follows})
    wait_for(
        "DR, streaming", lambda: patroni.state(node).replication_state == "streaming", seconds=90
    )
    assert not patroni.state(node).primary
    assert patroni.state(node).timeline == before


# Redis


def test_redis_users(context: LocalContext) -> None:
    [node] = context.inventory.of(Kind.REDIS)
    beyond: dict[str, tuple[tuple[str, ...], ...]] = {
        "app": (
            ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("KEYS", "*"), ("SHUTDOWN",),
            ("REPLICAOF", "NO", "ONE"),
        ),
        "monitor": (
            ("SET", "a", "b"), ("GET", "a"), ("CONFIG", "SET", "maxmemory", "1"), ("FLUSHALL",),
            ("ACL", "LIST"), ("PUBLISH", "a", "b"), ("SHUTDOWN",),
        ),
    }  # fmt: skip
    for user, orders in beyond.items():
        password = context.secrets.get(f"redis-{user}").get_secret_value()
        with redis.Redis(
            node.address, REDIS_PORT, username=user, password=password, socket_timeout=5
        ) as client:
            assert client.ping()
            for order in orders:
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*order)


# Addresses


def outside() -> str:
    """An address of this machine's that is none of loopback; "" where it has none."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family is socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    return ""


def first_answer(source: str, address: str, user: str, database: str) -> bytes:
    """What PostgreSQL says to a start-up packet from there."""
    words = b"".join(part.encode() + b"\0" for part in ("user", user, "database", database)) + b"\0"
    packet = struct.pack("!ii", len(words) + 8, 196608) + words
    with socket.create_connection(
        (address, names.POSTGRES_PORT), timeout=5, source_address=(source, 0)
    ) as link:
        link.sendall(packet)
        return link.recv(1000)


@pytest.mark.skipif(not outside(), reason="this machine has no address but loopback's")
def test_postgresql_knows_its_clients_addresses(context: LocalContext) -> None:
    application = names.application(context.topology)
    for scope in (primary_scope(context), away_scope(context, None)):
        for node in scope.members:
            for user in (application, names.SUPERUSER, names.MONITOR):
                asked = first_answer("127.0.0.1", node.address, user, "payments")
                assert asked.startswith(b"R"), "a password is asked for"
                refusal = first_answer(outside(), node.address, user, "payments")
                assert refusal.startswith(b"E"), refusal
                assert NOBODY_SAYS_SO in refusal
