"""Every page of every member read, and the rows of every table compared between them."""

from collections.abc import Sequence
from functools import partial

from psycopg import sql

from cluster.clock import wait_for
from cluster.context import Context
from cluster.inventory import Node
from postgres.client import Connection, superuser, value
from postgres.drill_checks import Copy

REPLAY_SECONDS = 60.0
TABLES = """
SELECT schemaname, tablename FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"""
# The checksum of every page is verified when it is read: a bad one is an error, and counted.
SUM = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} AS t"
FAILURES = "SELECT coalesce(sum(checksum_failures), 0)::bigint FROM pg_stat_database"


def copies_of(context: Context, leader: Node, members: Sequence[Node]) -> dict[str, Copy]:
    """What each member holds, as of now on the leader, by its name.

    Raises OpsError where a page cannot be read.
    """
    database = context.topology.postgres.database
    with superuser(context, leader, database) as connection:
        end = str(value(connection, "SELECT pg_current_wal_flush_lsn()"))
    found = {}
    for node in members:
        with superuser(context, node, database) as connection:
            wait_for(
                f"{node.name} replayed {end}",
                partial(_replayed, connection, end),
                seconds=REPLAY_SECONDS,
                clock=context.clock,
            )
            found[node.name] = _copy(connection)
    return found


def _replayed(connection: Connection, end: str) -> bool:
    if not value(connection, "SELECT pg_is_in_recovery()"):
        return True
    return bool(value(connection, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", end))


def _copy(connection: Connection) -> Copy:
    tables = {}
    for schema, table in connection.execute(TABLES).fetchall():
        query = sql.SQL(SUM).format(sql.Identifier(schema, table))
        row = connection.execute(query).fetchone()
        tables[f"{schema}.{table}"] = " ".join(map(str, row or ()))
    return Copy(tables=tables, checksum_failures=int(value(connection, FAILURES)))
