"""Attempts of writes as the application makes them, in transactions that are rolled back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import psycopg
from psycopg import sql

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.schema.types import Entity
from postgres import guarantees
from postgres.client import Connection, first_line
from postgres.schema import declared, samples
from postgres.schema.samples import Row, Value

Trial: TypeAlias = Callable[[Connection], str | None]

FEW_ROWS = 200  # of a table that the planner takes for as good as empty
# A trial keeps nobody waiting, and waits for nobody: it is a matter of milliseconds.
PATIENCE = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '15s'"


class Application:
    """The application's pooled session; once it is lost every further trial says so at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._lost: UnreachableError | None = None

    def attempt(self, trial: Trial) -> str | None:
        """Run a trial in a transaction that is rolled back; returns what is wrong.

        Raises UnreachableError where no proxy leads to a server.
        """
        if self._lost:
            raise self._lost
        try:
            connection = self._open()
            with connection.transaction(force_rollback=True):
                connection.execute(PATIENCE)
                return trial(connection)
        except UnreachableError as error:
            self._lost = error
            raise
        except psycopg.Error as error:
            if self._connection is not None and self._connection.closed:
                self._lost = UnreachableError(f"the connection was lost: {first_line(error)}")
                raise self._lost from error
            return first_line(error)

    def close(self) -> None:
        """Release the session."""
        self._stack.close()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._stack.enter_context(guarantees.session(self._context))
        return self._connection


@contextmanager
def application(context: Context) -> Iterator[Application]:
    """The application's session."""
    held = Application(context)
    try:
        yield held
    finally:
        held.close()


def fill(connection: Connection, entity: Entity) -> None:
    """Write so many rows that looking one up by an index is cheaper than reading all of another.

    Nothing is written where there are rows enough: what is rolled back is there to be vacuumed.
    """
    if planned_rows(connection, entity) >= FEW_ROWS:
        return
    families = [samples.family(entity) for _ in range(FEW_ROWS)]
    for relations in zip(*families, strict=True):
        _insert_all(connection, relations[0][0], [row for _, row in relations])


def planned_rows(connection: Connection, entity: Entity) -> float:
    """How many rows the planner takes the table for; 0 where it has never counted them."""
    row = connection.execute(
        "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = to_regclass(%s)",
        [declared.table(entity)],
    ).fetchone()
    return float(row[0]) if row else 0


def with_parents(connection: Connection, entity: Entity) -> Row:
    """A row in order, and the rows that it refers to written."""
    *parents, (_, row) = samples.family(entity)
    for parent, values in parents:
        insert(connection, parent, values)
    return row


def fresh(entity: Entity, row: Row) -> Row:
    """Another row with the same references."""
    kept = {each.field: row[each.field] for each in declared.foreign_keys(entity)}
    return {**samples.single(entity), **kept}


def insert_refused(connection: Connection, entity: Entity, row: Row, constraint: str) -> str | None:
    """What is wrong where this constraint should refuse the row; None where it does."""
    return refused(connection, lambda: insert(connection, entity, row), constraint)


def refused(connection: Connection, act: Callable[[], None], constraint: str) -> str | None:
    """What is wrong where this constraint should refuse `act`; None where it does.

    Another one that happens to say no is no proof.
    """
    try:
        with connection.transaction(force_rollback=True):
            act()
    except psycopg.IntegrityError as error:
        by = error.diag.constraint_name
        return None if by == constraint else f"refused by {by or first_line(error)}"
    return "accepted"


def insert(connection: Connection, entity: Entity, row: Row) -> None:
    """Write a row. Raises psycopg.Error."""
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(declared.table(entity)),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        ),
        list(row.values()),
    )


def update(connection: Connection, entity: Entity, row: Row, name: str, value: Value) -> None:
    """Change a field of a row. Raises psycopg.Error."""
    connection.execute(
        sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
            sql.Identifier(declared.table(entity)),
            sql.Identifier(name),
            sql.Identifier(entity.key),
        ),
        [value, row[entity.key]],
    )


def _insert_all(connection: Connection, entity: Entity, rows: Sequence[Row]) -> None:
    names = list(rows[0])
    columns = [
        sql.SQL("%s::{}[]").format(sql.SQL(declared.TYPES[entity.field(name).kind]))
        for name in names
    ]
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT * FROM unnest({})").format(
            sql.Identifier(declared.table(entity)),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(columns),
        ),
        [[row[name] for row in rows] for name in names],
    )
