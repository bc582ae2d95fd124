"""What a node's pgbouncer says of its pools."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg.rows import dict_row

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import names
from postgres.client import session


def pools(context: Context, node: Node, seconds: float) -> Sequence[Mapping[str, int]] | None:
    """Its SHOW POOLS, this connection included; None where it does not answer in `seconds`."""
    try:
        with session(
            host=node.address,
            port=names.PGBOUNCER_PORT,
            user=names.MONITOR,
            password=names.password(context, names.MONITOR),
            database="pgbouncer",
            trust=node.trust,
            seconds=seconds,
            statement_seconds=None,
        ) as connection:
            # The console speaks the simple query protocol alone.
            cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
            return cursor.execute("SHOW POOLS").fetchall()
    except OpsError:
        return None
