"""What TP3 asks of PostgreSQL's edge and of its security, asserted on the live topology."""

import socket
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress

import psycopg
import pytest
from testinfra.host import Host

from cluster.context import Context
from cluster.inventory import Kind, Node
from cluster.web import request
from postgres import access, haproxy, names, patroni, rules
from postgres.client import Connection, secured, session, superuser, value
from postgres.etcd import Etcd
from postgres.scopes import primary_scope, scopes
from postgres.servers import servers


def test_proxies_lead_to_the_primary(context: Context) -> None:
    """Every HAProxy routes pooled and direct clients to the primary and nobody else (TP3 §4)."""
    leader = patroni.leader_of(primary_scope(context))
    password = names.password(context, names.STATS_USER)
    for node in context.inventory.of(Kind.HAPROXY):
        routes = haproxy.routes(node, password)
        for listener in ("pooled", "direct"):
            up = routes.up.get(listener, ())
            assert up == (leader.name,), f"{node.name} {listener} → {up or 'nobody'}"


def test_writes_through_every_way(context: Context) -> None:
    """A write reaches the primary through each HAProxy, pooled and direct (TP3 §4)."""
    user, database = names.application(context.topology), context.topology.postgres.database
    for node in context.inventory.of(Kind.HAPROXY):
        for port in (names.POOLED_PORT, names.DIRECT_PORT):
            with login(context, node, port, user, database) as connection:
                standby = value(connection, "SELECT pg_is_in_recovery()")
                assert not standby, f"{node.at(port)} leads to a standby"
                connection.execute("SELECT pg_logical_emit_message(true, 'verify', 'write')")


def test_pgbouncer_on_every_node(context: Context) -> None:
    """pgbouncer runs beside every PostgreSQL member (TP3 §4)."""
    user, database = names.application(context.topology), context.topology.postgres.database
    for node in members(context):
        with login(context, node, names.PGBOUNCER_PORT, user, database) as connection:
            assert value(connection, "SELECT 1") == 1, node.name


# Security


def test_only_scram(context: Context) -> None:
    """Every login is by SCRAM-SHA-256, none by trust or MD5 (TP3 §5)."""
    for node in answering(members(context), names.POSTGRES_PORT):
        with superuser(context, node) as connection:
            rows = connection.execute(
                "SELECT DISTINCT auth_method FROM pg_hba_file_rules WHERE error IS NULL"
            ).fetchall()
            methods = {row[0] for row in rows}
            stored = access.stored_passwords(connection)
        assert methods == {"scram-sha-256"}, f"{node.name}'s pg_hba.conf allows {methods}"
        weak = [role for role, text in stored.items() if text and not text.startswith("SCRAM")]
        assert not weak, f"{', '.join(weak)} have no SCRAM password"


def test_postgres_refuses_strangers(context: Context) -> None:
    """PostgreSQL and pgbouncer refuse a client without the password, on every port (TP3 §5)."""
    proxies = context.inventory.of(Kind.HAPROXY)
    ways = [
        (node, port)
        for nodes, ports in (
            (members(context), (names.POSTGRES_PORT, names.PGBOUNCER_PORT)),
            (proxies, (names.POOLED_PORT, names.DIRECT_PORT, names.READS_PORT)),
        )
        for port in ports
        for node in answering(nodes, port)
    ]
    for node, port in ways:
        for user in (names.SUPERUSER, names.application(context.topology)):
            refused(context, node, port, user)


def test_etcd_refuses_strangers(context: Context) -> None:
    """etcd refuses a client without a password (TP3 §5)."""
    if context.target.name == "kubernetes":
        pytest.skip("Kubernetes keeps the leader: there is no etcd")
    for node in answering(
        [node for each in scopes(context) for node in each.etcd], names.ETCD_PORT
    ):
        assert not Etcd([node]).allows_anonymous(), f"{node.name} shows its keys to anybody"


def test_patroni_refuses_strangers(context: Context) -> None:
    """Patroni changes nothing for a client without a password (TP3 §5)."""
    for node in answering(members(context), names.PATRONI_PORT):
        answer = request(
            node.address, names.PATRONI_PORT, "PATCH", "/config", body={}, trust=node.trust
        )
        assert answer.status == 401, f"{node.name} answers {answer.status}"


def test_statistics_refuse_strangers(context: Context) -> None:
    """HAProxy shows its statistics to nobody without a password (TP3 §5)."""
    for node in answering(context.inventory.of(Kind.HAPROXY), names.STATS_PORT):
        answer = request(node.address, names.STATS_PORT, "GET", "/;csv", trust=node.trust)
        assert answer.status == 401, f"{node.name} answers {answer.status}"


def test_roles_and_rights(context: Context) -> None:
    """Every role has the rights that it needs and no other (TP3 §5)."""
    topology, leader = context.topology, patroni.leader_of(primary_scope(context))
    with superuser(context, leader) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
        every = rules.cluster_rules(topology, [row[0] for row in rows])
        wrong = access.broken(connection, every)
    with superuser(context, leader, topology.postgres.database) as connection:
        wrong += access.broken(connection, rules.database_rules(topology))
    assert not wrong, f"not so: {wrong[0].what}"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DROP DATABASE {database}", id="drop the database"),
        pytest.param("CREATE ROLE intruder", id="create roles"),
        pytest.param("CREATE TABLE public.intruder ()", id="create in schema public"),
        pytest.param("CREATE SCHEMA intruder", id="create schemas"),
        pytest.param("SELECT rolpassword FROM pg_authid", id="read passwords"),
        pytest.param("COPY (SELECT 1) TO PROGRAM 'true'", id="run programs"),
        pytest.param("ALTER SYSTEM SET synchronous_standby_names = ''", id="change settings"),
    ],
)
def test_application_may_not(context: Context, statement: str) -> None:
    """The application's role can touch nothing but its own schema (TP3 §5)."""
    database = context.topology.postgres.database
    user, node = names.application(context.topology), patroni.leader_of(primary_scope(context))
    with (
        login(context, node, names.POSTGRES_PORT, user, database) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.format(database=database).encode())


def test_servers_listen_on_their_own_address(context: Context, host: Host) -> None:
    """Each server listens on its node's address and on no other (TP3 §5)."""
    if context.target.name == "kubernetes":
        pytest.skip("a pod has no address but its own; network policies say who reaches it")
    for server in servers(context):
        for port in server.ports:
            assert host.socket(f"tcp://{server.node.address}:{port}").is_listening, (
                f"{server.name} does not listen on {server.node.at(port)}"
            )
            assert not host.socket(f"tcp://0.0.0.0:{port}").is_listening, (
                f"something listens on every address, port {port}"
            )


def members(context: Context) -> list[Node]:
    """Every PostgreSQL node, DR's too."""
    return [node for each in scopes(context) for node in each.members]


def answering(nodes: Iterable[Node], port: int) -> list[Node]:
    """The nodes that listen; the others are a matter of other requirements."""
    found = []
    for node in nodes:
        with suppress(OSError), socket.create_connection((node.address, port), timeout=2):
            found.append(node)
    return found


def login(
    context: Context, node: Node, port: int, user: str, database: str
) -> AbstractContextManager[Connection]:
    """A connection as a role, by any way."""
    return session(
        host=node.address,
        port=port,
        user=user,
        password=names.password(context, user),
        database=database,
        trust=node.trust,
        statement_seconds=None,
    )


def refused(context: Context, node: Node, port: int, user: str) -> None:
    """Asserts that neither no password nor a wrong one is let in."""
    database = context.topology.postgres.database
    for password in (None, "wrong"):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(
                host=node.address,
                port=port,
                user=user,
                password=password,
                dbname=database,
                connect_timeout=3,
                passfile="/dev/null",
                **secured(node.trust),
            ).close()
