"""What a server restored beside the cluster holds of a drill's table."""

import numpy as np
from psycopg import sql

from cluster.context import Context
from cluster.drill.contracts import OpIds
from postgres import instance
from postgres.instance import Instance
from postgres.writer import LedgerTable


def rows(context: Context, restored: Instance, store: LedgerTable) -> OpIds:
    """The operations in it."""
    query = sql.SQL("SELECT op FROM {}").format(sql.Identifier(*store.table))
    database = context.topology.postgres.database
    with instance.superuser(restored, database) as connection:
        found = connection.execute(query).fetchall()
    return np.fromiter((row[0] for row in found), np.int64, len(found))
