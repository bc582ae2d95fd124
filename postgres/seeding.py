"""Stores made-up rows of payments by COPY, a community a transaction, as the application."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby

import psycopg
from psycopg import sql

from cluster.context import Context
from cluster.dataset.community import Rows
from cluster.dataset.world import Batch
from cluster.errors import RefusedError, UnreachableError
from cluster.schema.types import Entity, States
from postgres import guarantees
from postgres.client import Connection, first_line
from postgres.guarantees import Way
from postgres.schema import declared

LOOKS = 3  # another run may store the same rows between a look and the COPY


def store(context: Context, batches: Sequence[Batch], *, look_first: bool) -> dict[str, int]:
    """Store the rows that are not there yet, all or none; how many those were, by entity.

    Every row goes through the states that lead to its own, as the database demands. Raises
    UnreachableError where trying again (with `look_first`) may help, RefusedError where a row of
    somebody else's is in the way.
    """
    with guarantees.session(context, Way.DIRECT) as connection:
        for _ in range(LOOKS):
            try:
                return _store(context, connection, batches, look_first=look_first)
            except psycopg.errors.UniqueViolation as error:
                look_first, reason = True, first_line(error)
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise UnreachableError(f"the primary has changed: {first_line(error)}") from error
    raise RefusedError(f"another row is in the way: {reason}", "give another --seed, or remove it")


def _store(
    context: Context, connection: Connection, batches: Sequence[Batch], *, look_first: bool
) -> dict[str, int]:
    added = {}
    with guarantees.transaction(connection):
        for batch in batches:
            table = sql.Identifier(*_name(context, batch.entity))
            rows = _missing(connection, table, batch.rows) if look_first else batch.rows
            _copy(connection, table, batch.entity, rows)
            _advance(connection, table, batch.entity, rows)
            added[batch.entity.name] = len(rows)
    return added


def _name(context: Context, entity: Entity) -> tuple[str, str]:
    return context.topology.postgres.database, declared.table(entity)


def _missing(connection: Connection, table: sql.Identifier, rows: Rows) -> Rows:
    query = sql.SQL("SELECT id::text FROM {} WHERE id = ANY(%s::uuid[])").format(table)
    there = {key for (key,) in connection.execute(query, [[row["id"] for row in rows]])}
    return [row for row in rows if row["id"] not in there]


def _copy(connection: Connection, table: sql.Identifier, entity: Entity, rows: Rows) -> None:
    names = [field.name for field in entity.fields]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    command = sql.SQL("COPY {} ({}) FROM STDIN").format(table, columns)
    with connection.cursor().copy(command) as copy:
        for row in rows:
            copy.write_row([_column(entity.states, name, row.get(name)) for name in names])


def _column(states: States | None, name: str, held: object) -> object:
    if isinstance(held, datetime):
        return held.replace(tzinfo=UTC)
    if states and name == states.field:
        return way_to(states, str(held))[0]
    return held


def _advance(connection: Connection, table: sql.Identifier, entity: Entity, rows: Rows) -> None:
    if entity.states is None:
        return
    command = sql.SQL("UPDATE {} SET {} = %s WHERE id = ANY(%s::uuid[])").format(
        table, sql.Identifier(entity.states.field)
    )
    for state, keys in changes(entity.states, rows):
        connection.execute(command, [state, keys])


# Pure


def changes(states: States, rows: Rows) -> Iterable[tuple[str, list[object]]]:
    """The changes that bring rows from their first states to their own: a state, and which rows."""
    steps = sorted(
        (number, state, str(row["id"]))
        for row in rows
        for number, state in enumerate(way_to(states, str(row[states.field]))[1:])
    )
    for (_, state), group in groupby(steps, key=lambda step: step[:2]):
        yield state, [key for _, _, key in group]


def way_to(states: States, state: str) -> tuple[str, ...]:
    """The shortest legal way from a first state to this one. Raises ValueError: there is none."""
    after = dict(states.after)
    ways: list[tuple[str, ...]] = [(first,) for first in states.first]
    for way in ways:  # grows while it is walked
        if way[-1] == state:
            return way
        ways += [(*way, then) for then in after[way[-1]] if then not in way]
    raise ValueError(f"no way leads to {state}")
