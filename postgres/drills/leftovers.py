"""Tables that drill runs have left in the payments' database."""

import re
from collections.abc import Iterable

from psycopg import sql

from cluster.context import Context
from cluster.drill.leftovers import Leftover
from postgres import patroni
from postgres.client import superuser
from postgres.scopes import primary_scope
from postgres.writer import SCHEMA

OF_A_RUN = re.compile(r"run_(?P<run>[0-9a-f]{8})_")  # as `postgres.writer.LedgerTable` names them


def leftovers(context: Context) -> tuple[Leftover, ...]:
    """Every table of a run. Raises OpsError where nobody leads."""
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader, context.topology.postgres.database) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (SCHEMA,)
        ).fetchall()
    return tuple(
        Leftover(found["run"], SCHEMA, str(name))
        for (name,) in rows
        if (found := OF_A_RUN.match(name))
    )


def drop(context: Context, places: Iterable[Leftover]) -> None:
    """Drop these tables. Idempotent."""
    leader = patroni.leader_of(primary_scope(context))
    with superuser(context, leader, context.topology.postgres.database) as connection:
        for place in places:
            table = sql.Identifier(place.within, place.name)
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
