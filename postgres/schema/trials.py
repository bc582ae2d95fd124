"""What is tried of each requirement; a trial returns what is wrong, or None."""

from collections.abc import Mapping
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from cluster.schema.types import Entity, Field, Index, Reference, States
from postgres.client import Connection
from postgres.schema import declared, plans, samples
from postgres.schema.attempts import (
    Trial,
    fill,
    fresh,
    insert,
    insert_refused,
    refused,
    update,
    with_parents,
)
from postgres.schema.samples import Row

READ_AND_REMOVE: tuple[LiteralString, ...] = (
    "SELECT * FROM {table} WHERE {key} = %s",
    "DELETE FROM {table} WHERE {key} = %s",
)
FORBIDDEN: Mapping[str, LiteralString] = {
    "add a column": "ALTER TABLE {table} ADD COLUMN intruder integer",
    "disable its triggers": "ALTER TABLE {table} DISABLE TRIGGER USER",
    "build an index": "CREATE INDEX ON {table} ({key})",
    "empty it": "TRUNCATE {table} CASCADE",
    "drop it": "DROP TABLE {table} CASCADE",
}


def refuses_null(entity: Entity) -> Trial:
    """Every required field refuses null."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        accepted = [
            field.name
            for field in entity.fields
            if field.required and not _null_is_refused(connection, entity, row, field)
        ]
        return f"{', '.join(accepted)} may be null" if accepted else None

    return trial


def refuses_bad(entity: Entity, field: Field) -> Trial:
    """The field's constraint refuses what the field may not hold."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        for what, value in samples.bad(field):
            wrong = insert_refused(
                connection, entity, {**row, field.name: value}, declared.check(entity, field.name)
            )
            if wrong:
                return f"{what}: {wrong}"
        return None

    return trial


def refuses_period(entity: Entity, begin: str, end: str) -> Trial:
    """A period that ends when it begins is refused."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        return insert_refused(
            connection, entity, {**row, end: row[begin]}, declared.check(entity, end)
        )

    return trial


def refuses_duplicate(entity: Entity, fields: tuple[str, ...], constraint: str) -> Trial:
    """A second row with the same values is refused."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        insert(connection, entity, row)
        again = {**fresh(entity, row), **_elsewhere(entity, row, fields)}
        return insert_refused(connection, entity, again, constraint)

    return trial


def refuses_orphan(entity: Entity, reference: Reference) -> Trial:
    """A reference to a row that is not there is refused."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        nowhere = samples.single(entity)[entity.key]
        return insert_refused(
            connection,
            entity,
            {**row, reference.field: nowhere},
            declared.foreign_key(entity, reference),
        )

    return trial


def refuses_first_states(entity: Entity, states: States) -> Trial:
    """A row begins in one of its first states and in no other."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        for state, _ in states.after:
            new = {**fresh(entity, row), states.field: state}
            if state in states.first:
                insert(connection, entity, new)
                continue
            wrong = insert_refused(connection, entity, new, declared.first_state(entity))
            if wrong:
                return f"{state}: {wrong}"
        return None

    return trial


def changes_state(entity: Entity, states: States, *, legal: bool) -> Trial:
    """Every legal change of status is accepted; or every illegal one is refused."""

    def trial(connection: Connection) -> str | None:
        parents = with_parents(connection, entity)
        for one, other in samples.changes(states, legal=legal):
            row = fresh(entity, parents)
            way = samples.way_to(states, one)
            insert(connection, entity, {**row, states.field: way[0]})
            for state in way[1:]:
                update(connection, entity, row, states.field, state)
            if legal:
                update(connection, entity, row, states.field, other)
                continue
            wrong = refused(
                connection,
                partial(update, connection, entity, row, states.field, other),
                declared.state_change(entity),
            )
            if wrong:
                return f"{one} → {other}: {wrong}"
        return None

    return trial


def keeps(entity: Entity, fields: tuple[str, ...]) -> Trial:
    """What never changes cannot be changed."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        insert(connection, entity, row)
        for name in fields:
            value = samples.other(entity.field(name), row[name])
            wrong = refused(
                connection,
                partial(update, connection, entity, row, name, value),
                declared.immutable(entity),
            )
            if wrong:
                return f"{name}: {wrong}"
        return None

    return trial


def matches_payment(entity: Entity) -> Trial:
    """An invoice of more than its payment, or in another currency, is refused."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        for name in ("montant", "devise"):
            other = {**row, name: samples.other(entity.field(name), row[name])}
            wrong = insert_refused(connection, entity, other, declared.MATCHES_PAYMENT)
            if wrong:
                return f"another {name}: {wrong}"
        return None

    return trial


def reads_and_writes(entity: Entity) -> Trial:
    """The application may read, write and remove rows, and change nothing about the table."""

    def trial(connection: Connection) -> str | None:
        row = with_parents(connection, entity)
        insert(connection, entity, row)
        update(connection, entity, row, entity.key, row[entity.key])
        names = {
            "table": sql.Identifier(declared.table(entity)),
            "key": sql.Identifier(entity.key),
        }
        for statement in READ_AND_REMOVE:
            connection.execute(_sql(statement, names), [row[entity.key]])
        for what, statement in FORBIDDEN.items():
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(_sql(statement, names))
                return f"it may {what}"
            except psycopg.errors.InsufficientPrivilege:
                continue
        return None

    return trial


def both(one: Trial, other: Trial) -> Trial:
    """Two trials of one requirement."""
    return lambda connection: one(connection) or other(connection)


def is_used(entity: Entity, index: Index) -> Trial:
    """The planner answers the index's query with it.

    Reading the whole table is made unattractive: in a small one it is cheaper than any index.
    """

    def trial(connection: Connection) -> str | None:
        fill(connection, entity)
        connection.execute("SET LOCAL enable_seqscan TO off")
        connection.execute("SET LOCAL enable_sort TO off")
        # In a small table the planner takes reading all of another index for as cheap.
        connection.execute("SET LOCAL cpu_index_tuple_cost TO 1")
        query = plans.explain(declared.table(entity), index.serves, samples.single(entity))
        row = connection.execute(query).fetchone()
        if row is None:
            return "the server shows no plan"
        return plans.unused(plans.parse(row[0]), declared.index(entity, index), index.serves)

    return trial


def _elsewhere(entity: Entity, row: Row, fields: tuple[str, ...]) -> Row:
    """The same values in these fields, and others in whatever else must be unique.

    Which of two unique indexes is asked first is not for us to know.
    """
    unique = {name for index in entity.indexes if index.unique for name in index.fields}
    words = {name for name in unique if entity.field(name).values}
    others = {name: samples.other(entity.field(name), row[name]) for name in words}
    return {**others, **{name: row[name] for name in fields}}


def _null_is_refused(connection: Connection, entity: Entity, row: Row, field: Field) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            insert(connection, entity, {**row, field.name: None})
    except psycopg.errors.NotNullViolation as error:
        return error.diag.column_name == field.name
    return False


def _sql(text: LiteralString, names: Mapping[str, sql.Identifier]) -> sql.Composed:
    return sql.SQL(text).format(**names)
