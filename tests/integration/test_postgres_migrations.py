"""Migrations on a real server: what they come to, run twice, at once, and cut off."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg import sql

from cluster.context import Context
from cluster.errors import BusyError, RefusedError
from cluster.plan import Finished, Outcome, execute
from cluster.schema.catalogue import BY_NAME, tables
from cluster.schema.types import Entity, Kind, Store
from postgres.schema import connection as connections
from postgres.schema.connection import owner_session
from postgres.schema.drift import drift
from postgres.schema.runner import head
from postgres.schema.steps import steps
from tests.conftest import Lab

pytestmark = pytest.mark.servers

TYPES = {
    Kind.ID: "uuid",
    Kind.STRING: "text",
    Kind.MONEY: "bigint",
    Kind.DATETIME: "timestamp with time zone",
}


@pytest.fixture
def context(shared_lab: Lab) -> Iterator[Context]:
    """The shared lab without any schema; with it afterwards."""
    found = shared_lab.context
    empty(found)
    yield found
    empty(found)
    assert not failed(apply(found))


def empty(context: Context) -> None:
    """Nothing of the data model in the schema; nobody's drills."""
    with owner_session(context) as connection:
        connection.execute("RESET ROLE")
        connection.execute("DROP TABLE IF EXISTS droit_acces, facture, intention_paiement CASCADE")
        connection.execute("DROP TABLE IF EXISTS abonnement, alembic_version CASCADE")
        connection.execute(
            "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc"
            " WHERE pronamespace = current_schema()::regnamespace LOOP"
            " EXECUTE 'DROP FUNCTION ' || f; END LOOP; END $$"
        )


def apply(context: Context) -> list[Finished]:
    return execute(steps(context), lambda _: None)


def failed(ends: list[Finished]) -> list[str]:
    return [end.why for end in ends if end.outcome in {Outcome.FAILED, Outcome.SKIPPED}]


def rows(context: Context, query: str) -> list[tuple[object, ...]]:
    with owner_session(context) as connection:
        return connection.execute(sql.SQL(query)).fetchall()  # type: ignore[arg-type] # constants


def test_what_migrations_come_to_is_what_is_declared(context: Context) -> None:
    assert not failed(apply(context))
    columns = rows(
        context,
        "SELECT table_name, column_name, data_type, is_nullable = 'NO'"
        " FROM information_schema.columns WHERE table_schema = current_schema()",
    )
    declared = {
        (entity.name.lower(), field.name, TYPES[field.kind], field.required)
        for entity in tables()
        for field in entity.fields
    }
    ours = {entity.name.lower() for entity in tables()}
    # A limited text may be a varchar: its limit is a rule that `schema verify` tries.
    plain = {
        (table, name, "text" if type_ in {"character varying", "character"} else type_, required)
        for table, name, type_, required in columns
        if table in ours
    }
    assert plain == declared
    assert {table for table, *_ in columns} - ours <= {"alembic_version"} | {
        str(table) for table, *_ in columns if str(table).startswith("drill_")
    }


def test_keys_and_indexes_are_what_is_declared(context: Context) -> None:
    assert not failed(apply(context))
    found = rows(
        context,
        "SELECT t.relname, i.indisunique, i.indisprimary, array_agg(a.attname ORDER BY k.place)"
        " FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid,"
        " unnest(i.indkey) WITH ORDINALITY k(number, place), pg_attribute a"
        " WHERE t.relnamespace = current_schema()::regnamespace"
        " AND a.attrelid = t.oid AND a.attnum = k.number AND i.indisvalid"
        " GROUP BY t.relname, i.indexrelid, i.indisunique, i.indisprimary",
    )
    indexes = {
        (str(table), unique, primary, tuple(fields)) for table, unique, primary, fields in found
    }  # type: ignore[arg-type, misc] # an array
    for entity in tables():
        wanted = {(index.unique, False, index.fields) for index in entity.indexes}
        wanted.add((True, True, (entity.key,)))
        assert {
            rest
            for table, *rest_ in indexes
            if table == entity.name.lower()
            for rest in [tuple(rest_)]
        } == wanted
    assert foreign_keys(context) == {
        (entity.name.lower(), reference.field, reference.entity.lower())
        for entity in tables()
        for reference in entity.references
        if BY_NAME[reference.entity].store is Store.POSTGRES
    }


def foreign_keys(context: Context) -> set[tuple[object, ...]]:
    return set(
        rows(
            context,
            "SELECT c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass::text"
            " FROM pg_constraint c JOIN pg_attribute a"
            " ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
            " WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace",
        )
    )


def test_twice_changes_nothing(context: Context) -> None:
    assert Outcome.CHANGED in {end.outcome for end in apply(context)}
    assert {end.outcome for end in apply(context)} == {Outcome.UNCHANGED}


def test_two_operators_at_once(context: Context) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(apply, context) for _ in range(2)]
        assert [failed(one.result()) for one in both] == [[], []]
    assert drift(context) == ()


@pytest.mark.parametrize("least", range(3))
def test_killed_after_some_migrations(shared_lab: Lab, context: Context, least: int) -> None:
    """kill -9 of the command once `least` revisions are there; the next run finishes."""
    with subprocess.Popen(
        shared_lab.command("schema", "apply"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        deadline = time.monotonic() + 60
        while first.poll() is None and time.monotonic() < deadline and progress(context) < least:
            pass
        if first.poll() is None:
            os.kill(first.pid, signal.SIGKILL)
    assert not failed(apply(context))
    assert drift(context) == ()


def progress(context: Context) -> int:
    """How far the migrations are: 0 none, 1 the tables, 2 indexes, 3 all."""
    found = rows(context, "SELECT to_regclass('alembic_version') IS NOT NULL")
    if not found[0][0]:
        return 0
    version = rows(context, "SELECT max(version_num) FROM alembic_version")[0][0]
    return int(str(version)[1:5]) if version else 0


def test_a_long_transaction_is_not_queued_behind(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another operator who holds the schema's lock for long: a clear error, nothing lost."""
    monkeypatch.setattr(connections, "OTHERS_SECONDS", 1)
    with owner_session(context) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [connections.ADVISORY_KEY])
        ends = apply(context)
    assert isinstance(ends[0].error, BusyError), ends
    assert progress(context) == 0


def test_a_newer_revision_is_refused(context: Context) -> None:
    assert not failed(apply(context))
    with owner_session(context) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'r9999_of_tomorrow'")
    try:
        error = apply(context)[0].error
        assert isinstance(error, RefusedError)
        assert "r9999_of_tomorrow" in error.message
        assert head() in error.message
    finally:
        with owner_session(context) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", [head()])


def test_an_application_writes_meanwhile(context: Context) -> None:
    """An index that is missing on a table with rows is built while rows come in."""
    assert not failed(apply(context))
    entity = BY_NAME["ABONNEMENT"]
    with owner_session(context) as connection:
        connection.execute("DROP INDEX " + index_of(context, entity))  # type: ignore[arg-type] # ours
    with owner_session(context) as writer:
        writer.autocommit = False
        ids = insert(writer, 1)
        with ThreadPoolExecutor(1) as pool:
            building = pool.submit(apply, context)  # it waits for this transaction to end
            ids += insert(writer, 20)
            writer.commit()
            assert not failed(building.result())
        writer.execute("DELETE FROM abonnement WHERE id = ANY (%s::uuid[])", [ids])
        writer.commit()
    assert drift(context) == ()


def insert(connection: connections.Connection, count: int) -> list[str]:
    made = [
        connection.execute(
            "INSERT INTO abonnement (id, id_utilisateur, formule, statut, debut) VALUES"
            " (gen_random_uuid(), gen_random_uuid(), 'VIP', 'EN_ATTENTE', now()) RETURNING id::text"
        ).fetchone()
        for _ in range(count)
    ]
    return [str(row[0]) for row in made if row]


def index_of(context: Context, entity: Entity) -> str:
    """The name of an index of the table that is no key."""
    with owner_session(context) as connection:
        row = connection.execute(
            "SELECT min(indexrelid::regclass::text) FROM pg_index"
            " WHERE indrelid = to_regclass(%s) AND NOT indisunique",
            [entity.name.lower()],
        ).fetchone()
    assert row is not None
    return str(row[0])
