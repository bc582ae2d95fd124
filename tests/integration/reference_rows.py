"""Rows of every entity, made from the declarations: right in all that a server checks."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

from psycopg import sql
from pymongo import WriteConcern

from cluster.context import Context
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.types import Entity, Field, Kind, Store
from mongo import guarantees, nodes
from mongo.client import router_client
from mongo.credentials import APPLICATION, login
from postgres import patroni
from postgres.client import Connection, superuser
from postgres.scopes import primary_scope

Row = dict[str, object]
MEMBERS = 3  # of each shard: a row that all have shows on whichever secondary is read
NUMBERS = count(10_000_000)
PATTERNED = {
    "courriel": lambda number: f"{number}@example.org",
    "numero": lambda number: f"+3361{number}",
    "periode": lambda number: f"{number % 8999 + 1000}-12",
}


class Rows:
    """Rows to be, parents before children; every row has parents of its own."""

    def __init__(self) -> None:
        self.made: dict[str, list[Row]] = defaultdict(list)

    def make(self, name: str, **given: object) -> Row:
        """A row with these fields; what else it refers to is made too, unless it is given."""
        entity = BY_NAME[name]
        named = {one.field: one.entity for one in entity.references}
        row: Row = {}
        for field in entity.fields:
            if field.name in given:
                row[field.name] = given[field.name]
            elif field.name in named:
                row[field.name] = self._parent(field, named[field.name])
            elif field.required:
                row[field.name] = _value(entity, field)
        if entity.store is Store.MONGO:
            row = {"_id": row[entity.key], **row}
        self.made[name].append(row)
        return row

    def _parent(self, field: Field, name: str) -> object:
        key = self.make(name)[BY_NAME[name].key]
        return [key] if field.kind is Kind.STRINGS else key


def _value(entity: Entity, field: Field) -> object:
    number = next(NUMBERS)
    if field.name in PATTERNED:
        return PATTERNED[field.name](number)
    if entity.states and field.name == entity.states.field:
        return entity.states.first[0]
    if field.kind is Kind.STRING:
        return field.values[0] if field.values else f"{field.name} {number}"
    values: dict[Kind, object] = {
        Kind.ID: str(uuid4()),
        Kind.STRINGS: list(field.values[:1]),
        Kind.INTEGER: int(field.minimum or 0),
        Kind.MONEY: int(field.minimum or 0),
        Kind.NUMBER: float(field.minimum or 0),
        Kind.BOOLEAN: True,
        Kind.DATETIME: datetime.now(UTC).replace(microsecond=0),
    }
    return values[field.kind]


@contextmanager
def stored(context: Context, rows: Rows) -> Iterator[None]:
    """The rows are on every member of both stores; afterwards they are nowhere."""
    try:
        _each(context, rows, insert=True)
        yield
    finally:
        _each(context, rows, insert=False)


def _each(context: Context, rows: Rows, *, insert: bool) -> None:
    account = login(context, APPLICATION)
    scope, database = primary_scope(context), context.topology.postgres.database
    with (
        router_client(nodes.routers(context), account, seconds=60) as client,
        superuser(context, patroni.leader_of(scope), database) as connection,
    ):
        # So that a row that refers to nothing can be put there; and the standby shows it at once.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = remote_apply")
        for entity in ENTITIES if insert else reversed(ENTITIES):
            made = rows.made.get(entity.name, [])
            if not made:
                continue
            if entity.store is Store.POSTGRES:
                (_insert if insert else _delete)(connection, database, entity, made)
                continue
            everywhere = guarantees.collection(client, entity).with_options(
                write_concern=WriteConcern(MEMBERS)
            )
            if insert:
                everywhere.insert_many(made)
            else:
                everywhere.delete_many({"_id": {"$in": [row["_id"] for row in made]}})


def _insert(connection: Connection, schema: str, entity: Entity, rows: list[Row]) -> None:
    for row in rows:
        query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(schema, entity.name.lower()),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        connection.execute(query, list(row.values()))


def _delete(connection: Connection, schema: str, entity: Entity, rows: list[Row]) -> None:
    query = sql.SQL("DELETE FROM {} WHERE {} = ANY (%s::uuid[])").format(
        sql.Identifier(schema, entity.name.lower()), sql.Identifier(entity.key)
    )
    connection.execute(query, ([row[entity.key] for row in rows],))
