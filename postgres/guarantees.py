"""What the declared guarantees mean here: how a session commits, and where it connects.

`cluster.schema.guarantees` promises; services, drills, seeding and reports connect through this.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from psycopg import AsyncConnection, sql
from psycopg.errors import Diagnostic

from cluster.context import Context
from cluster.inventory import Kind
from cluster.schema.guarantees import PAYMENT, Guarantee
from postgres import client, names
from postgres.client import Connection

AsyncSession: TypeAlias = "AsyncConnection[Any]"


class UnconfirmedCommitError(Exception):
    """The commit is on the primary and nowhere else: it may be lost with it. Repeat the write."""


class Way(StrEnum):
    """A way through the proxies: who answers, and what it is for."""

    POOLED = "pooled"  # the primary: services, real-time reads
    DIRECT = "direct"  # the primary, a session of one's own: COPY of much, advisory locks
    REPORTING = "reporting"  # a standby, behind the primary by its lag


PORTS = {
    Way.POOLED: names.POOLED_PORT,
    Way.DIRECT: names.DIRECT_PORT,
    Way.REPORTING: names.READS_PORT,
}


def synchronous_commit(guarantee: Guarantee = PAYMENT) -> Literal["on", "local"]:
    """PostgreSQL's setting for writes: `on` waits until the named standby has the WAL on disk."""
    return "on" if guarantee.synchronous else "local"


def reporting_way(guarantee: Guarantee = PAYMENT) -> Way:
    """Where the reporting queries of an entity with this guarantee go."""
    return Way.REPORTING if guarantee.reporting == "standby" else Way.POOLED


def parameters(context: Context, port: int, *, first: int = 0) -> dict[str, str | int]:
    """libpq's parameters for the application's role through every proxy, the `first`-th first."""
    proxies = [node.address for node in context.inventory.of(Kind.HAPROXY)]
    turn = first % len(proxies)
    user = names.application(context.topology)
    return {
        "host": ",".join(proxies[turn:] + proxies[:turn]),
        "port": port,
        "user": user,
        "password": names.password(context, user),
        "dbname": context.topology.postgres.database,
        **client.secured(context.trust),
    }


def session(context: Context, way: Way = Way.POOLED) -> AbstractContextManager[Connection]:
    """A session of the application's role, in autocommit mode, with the server's own defaults.

    Raises UnreachableError where no proxy leads to a server, or the connection is lost.
    """
    user = names.application(context.topology)
    return client.session(
        host=str(parameters(context, PORTS[way])["host"]),
        port=PORTS[way],
        user=user,
        password=names.password(context, user),
        database=context.topology.postgres.database,
        trust=context.trust,
        statement_seconds=None,  # pgbouncer refuses start-up options
    )


@contextmanager
def transaction(connection: Connection, guarantee: Guarantee = PAYMENT) -> Iterator[None]:
    """A transaction that commits as the guarantee says, whatever the session's default is."""
    with connection.transaction():
        connection.execute(_commits_as(guarantee))
        yield


@asynccontextmanager
async def async_transaction(
    connection: AsyncSession, guarantee: Guarantee = PAYMENT
) -> AsyncIterator[None]:
    """`transaction` for an asyncio connection: the services'.

    Raises UnconfirmedCommitError where the wait for the standby was given up: PostgreSQL then says
    "canceling wait for synchronous replication" in a warning, and that the commit is done.
    """
    warnings: list[str] = []

    def collect(notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            warnings.append(notice.message_primary or "")

    connection.add_notice_handler(collect)
    try:
        async with connection.transaction():
            await connection.execute(_commits_as(guarantee))
            yield
    finally:
        connection.remove_notice_handler(collect)
    if warnings:
        raise UnconfirmedCommitError("; ".join(warnings))


def _commits_as(guarantee: Guarantee) -> sql.Composed:
    return sql.SQL("SET LOCAL synchronous_commit TO {}").format(
        sql.Literal(synchronous_commit(guarantee))
    )
