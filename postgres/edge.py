"""The way of a client: through each HAProxy, pooled or direct, to whoever is primary."""

from collections.abc import Callable
from typing import TypeAlias

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind
from postgres.client import Connection, session, value
from postgres.names import DIRECT_PORT, password

Act: TypeAlias = Callable[[Connection], None]


def reach_primary(context: Context, port: int, user: str, database: str) -> None:
    """Raises UnreachableError where a proxy's port does not lead to a writable server."""
    _through_every_proxy(context, port, user, database, _assert_writable)


def write(context: Context, port: int, user: str, database: str) -> bool:
    """Commit a transaction through every proxy: a WAL record that belongs to no table.

    Returns True. Raises UnreachableError where one does not lead to a writable server.
    """
    _through_every_proxy(context, port, user, database, _write)
    return True


def _through_every_proxy(context: Context, port: int, user: str, database: str, act: Act) -> None:
    for proxy in context.inventory.of(Kind.HAPROXY):
        with session(
            host=proxy.address,
            port=port,
            user=user,
            password=password(context, user),
            database=database,
            trust=proxy.trust,
            statement_seconds=15 if port == DIRECT_PORT else None,
        ) as connection:
            act(connection)


def _assert_writable(connection: Connection) -> None:
    if value(connection, "SELECT pg_is_in_recovery()"):
        raise UnreachableError("a proxy leads to a standby")


def _write(connection: Connection) -> None:
    _assert_writable(connection)
    connection.execute("SELECT pg_logical_emit_message(true, 'skillswap-ops', 'edge')")
