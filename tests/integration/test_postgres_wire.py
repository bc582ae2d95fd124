"""The answers that a real PostgreSQL gives at the worst moments, and what they are taken for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.clock import wait_for
from cluster.drill.outcome import Outcome
from cluster.inventory import Kind, Node
from postgres import names, outcomes, patroni, wire
from postgres.client import superuser, value
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab

pytestmark = pytest.mark.servers

WRITE = "SELECT pg_logical_emit_message(true, 'test', 'write')"


@pytest.fixture(scope="module")
def context(shared_lab: Lab) -> LocalContext:
    return shared_lab.context


@pytest.fixture
def leader(context: LocalContext) -> Node:
    return patroni.leader_of(primary_scope(context))


@contextmanager
def connected(context: LocalContext, node: Node, port: int) -> Iterator[wire.Wire]:
    user = names.application(context.topology)
    connection = wire.connect(
        {
            "host": node.address,
            "port": port,
            "user": user,
            "password": names.password(context, user),
            "dbname": context.topology.postgres.database,
        },
        2,
    )
    yield connection
    connection.close()


def while_it_runs(context: LocalContext, node: Node, query: str, call: str) -> None:
    """Call a function on the backend that runs `query`, once it does."""

    def act() -> bool:
        with superuser(context, node) as connection:
            return bool(
                value(
                    connection,
                    f"SELECT bool_or({call}(pid)) FROM pg_stat_activity"  # noqa: S608 - a constant
                    " WHERE query = %s AND pid <> pg_backend_pid() AND state = 'active'",
                    query,
                )
            )

    wait_for("the statement to run", act, seconds=60, every=0.1)


def test_acknowledged_through_the_pool(context: LocalContext) -> None:
    with connected(context, context.inventory.of(Kind.HAPROXY)[0], names.POOLED_PORT) as way:
        assert outcomes.result(way.run(WRITE, 5)).outcome is Outcome.ACKED
        assert outcomes.result(way.run(WRITE, 5)).outcome is Outcome.ACKED


def test_standby_refuses(context: LocalContext, leader: Node) -> None:
    standby = next(node for node in primary_scope(context).members if node != leader)
    with connected(context, standby, names.PGBOUNCER_PORT) as way:
        found = outcomes.result(way.run("CREATE TABLE payments.t ()", 5))
    assert (found.outcome, found.reason) == (Outcome.FAILED, "25006 read_only_sql_transaction")


def test_deadline_leaves_the_statement_alone(context: LocalContext, leader: Node) -> None:
    query = "SELECT pg_sleep(1.5)"
    with connected(context, leader, names.POSTGRES_PORT) as way:
        reply = way.run(query, 0.3)
        with superuser(context, leader) as connection:
            state = value(
                connection,
                "SELECT state FROM pg_stat_activity WHERE query = %s AND pid <> pg_backend_pid()",
                query,
            )
    assert reply.end is wire.End.TIMEOUT
    assert outcomes.result(reply).outcome is Outcome.UNKNOWN
    assert state == "active"  # nobody cancelled it


def test_terminated_session_is_unknown(context: LocalContext, leader: Node) -> None:
    query = "SELECT pg_sleep(30)"
    with connected(context, leader, names.POSTGRES_PORT) as way:
        killer = threading.Thread(
            target=while_it_runs, args=(context, leader, query, "pg_terminate_backend")
        )
        killer.start()
        found = outcomes.result(way.run(query, 20))
        killer.join()
        again = outcomes.result(way.run(WRITE, 5))
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "57P01 admin_shutdown")
    assert again.outcome is Outcome.FAILED  # known to be lost, nothing was sent


def test_closing_frees_a_stuck_write(context: LocalContext, leader: Node) -> None:
    with connected(context, leader, names.POSTGRES_PORT) as way:
        timer = threading.Timer(0.3, way.close)
        timer.start()
        reply = way.run("SELECT pg_sleep(20)", 15)
        timer.join()
    assert reply.end is wire.End.LOST


def test_commit_without_its_standby_is_unknown(context: LocalContext, leader: Node) -> None:
    """A cancelled wait for the synchronous standby says COMMIT, with a warning."""
    with superuser(context, leader) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        with connected(context, leader, names.POSTGRES_PORT) as way:
            wait_for("the setting", lambda: _waits_for_nobody(way), seconds=60)
            canceller = threading.Thread(
                target=while_it_runs, args=(context, leader, WRITE, "pg_cancel_backend")
            )
            canceller.start()
            reply = way.run(WRITE, 20)
            canceller.join()
    finally:
        with superuser(context, leader) as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            connection.execute("SELECT pg_reload_conf()")
    assert reply.completed
    assert reply.error is None
    found = outcomes.result(reply)
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "committed with a warning")
    wait_for(
        "the synchronous standby",
        lambda: any(row.sync_state == "sync" for row in patroni.state(leader).replication),
        seconds=30,
    )


def _waits_for_nobody(way: wire.Wire) -> bool:
    return way.run("SHOW synchronous_standby_names", 5).rows == (("nobody",),)
