"""The ends of references that PostgreSQL keeps.

A uuid sorts as its canonical text does: both compare the same digits from the left.
"""

from collections.abc import Generator, Sequence
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from cluster.context import Context
from cluster.errors import RefusedError
from cluster.references import Holder
from cluster.schema.catalogue import tables
from cluster.schema.types import Entity
from postgres import staleness
from postgres.client import Connection, value

READ_BATCH = 20_000  # ids
APPLY_HINT = "run `skillswap-ops schema apply`"


def assert_applied(connection: Connection, schema: str) -> None:
    """Raises RefusedError where a declared table is not there."""
    query = "SELECT to_regclass(%s) IS NULL"
    absent = [
        entity.name
        for entity in tables()
        if value(connection, query, f"{schema}.{entity.name.lower()}")
    ]
    if absent:
        what = f"the schema is not applied: PostgreSQL has no {', '.join(absent)}"
        raise RefusedError(what, APPLY_HINT)


class PostgresEnds:
    """References in PostgreSQL. A stream is a transaction of its own on a standby, and short: a
    long one would be ended by what the standby has to replay.
    """

    def __init__(self, context: Context, primary: Connection, *, from_primary: bool) -> None:
        self._context, self._primary, self._from_primary = context, primary, from_primary

    def values(self, entity: Entity, field: str) -> Generator[object, None, None]:
        """Distinct values, ascending."""
        query = """SELECT {field}::text FROM
          (SELECT DISTINCT {field} FROM {table} WHERE {field} IS NOT NULL) AS found
          ORDER BY found.{field}"""
        yield from self._stream(self._compose(query, entity, field))

    def keys(self, entity: Entity) -> Generator[str, None, None]:
        """Keys, ascending."""
        query = "SELECT {field}::text FROM {table} AS found ORDER BY found.{field}"
        yield from self._stream(self._compose(query, entity, entity.key))

    def present(self, entity: Entity, keys: Sequence[str]) -> set[str]:
        """Which keys the primary has; what is no UUID it cannot have."""
        query = "SELECT {field}::text FROM {table} WHERE {field} = ANY (%s::uuid[])"
        wanted = [key for key in keys if _is_uuid(key)]
        rows = self._primary.execute(self._compose(query, entity, entity.key), (wanted,))
        return {row[0] for row in rows}

    def holders(
        self,
        entity: Entity,
        field: str,
        values: Sequence[object],
        *,
        durable: bool,  # noqa: ARG002 - what the primary shows, its standby has
    ) -> list[Holder]:
        """Which values the primary's rows hold."""
        query = """SELECT {field}::text, count(*), min({key}::text) FROM {table}
          WHERE {field} = ANY (%s::uuid[]) GROUP BY {field}"""
        rows = self._primary.execute(self._compose(query, entity, field), (list(values),))
        return [Holder(*row) for row in rows]

    def _stream(self, query: sql.Composed) -> Generator[str, None, None]:
        with (
            staleness.reading(self._context, primary=self._from_primary) as reading,
            reading.connection.cursor("ids") as cursor,
        ):
            cursor.itersize = READ_BATCH
            cursor.execute(query)
            for row in cursor:
                yield row[0]

    def _compose(self, query: LiteralString, entity: Entity, field: str) -> sql.Composed:
        return sql.SQL(query).format(
            field=sql.Identifier(field),
            key=sql.Identifier(entity.key),
            table=sql.Identifier(self._schema, entity.name.lower()),
        )

    @property
    def _schema(self) -> str:
        return self._context.topology.postgres.database


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
