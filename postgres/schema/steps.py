"""The steps of `schema apply` for PostgreSQL: migrate, then mend what was changed by hand."""

from collections.abc import Sequence

from psycopg import sql

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import RefusedError, UnreachableError
from cluster.plan import Finding, Step, done, todo
from cluster.schema.catalogue import tables
from cluster.schema.types import Store
from postgres.client import Connection, value
from postgres.schema import declared, runner
from postgres.schema.connection import (
    LOCK_SECONDS,
    Place,
    alone,
    explained,
    owner_session,
    place,
)
from postgres.schema.drift import Difference, differences, shown
from postgres.schema.repair import Repair, harmless, in_schema, repair
from postgres.schema.snapshot import PartKind
from postgres.scopes import primary_scope

MIGRATIONS = f"{Store.POSTGRES}: migrations"
MENDED = f"{Store.POSTGRES}: as declared"
DIFF = "`skillswap-ops schema diff` shows every difference"
# What waits for others without keeping anybody waiting may wait for longer.
PATIENT = ("CONCURRENTLY", "VALIDATE CONSTRAINT")
PATIENT_SECONDS = 60
SESSIONS_SECONDS = 30
ROUNDS = 3  # what one repair uncovers, the next one mends: a new owner's rights

OLD_SESSIONS = """
SELECT count(*) FILTER (
  WHERE CASE WHEN state = 'idle' THEN NOT pg_terminate_backend(pid) ELSE true END)
FROM pg_stat_activity WHERE usename = %s AND datname = current_database() AND backend_start < %s"""


def steps(context: Context, *, prune: bool = False) -> tuple[Step, ...]:
    """What makes the live schema the declared one, online, and safe to cut off and run again.

    `prune` also removes indexes, constraints, triggers, rules and functions that nobody declared.
    """
    component = primary_scope(context).component

    def migrated() -> Finding:
        with owner_session(context) as connection:
            return _revision(connection)

    def mended() -> Finding:
        with owner_session(context) as connection:
            return _finding(differences(connection, place(context)), prune=prune)

    return (
        Step(
            MIGRATIONS,
            component,
            f"bring the schema to revision {runner.head()}",
            migrated,
            lambda: _migrate(context),
        ),
        Step(
            MENDED,
            component,
            "mend what was changed by hand",
            mended,
            lambda: _mend(context, prune=prune),
            (MIGRATIONS,),
        ),
    )


def _revision(connection: Connection) -> Finding:
    """Raises RefusedError where the tables are there and nobody knows from which migration."""
    found = runner.current(connection)
    if found == runner.head():
        return done(f"at revision {found}")
    if found:
        return todo(f"at revision {found}, the newest is {runner.head()}")
    for entity in tables():
        if value(connection, "SELECT to_regclass(%s) IS NOT NULL", declared.table(entity)):
            raise RefusedError(
                f"table {declared.table(entity)} is there, and no record of migrations",
                f"write the revision that it is at into {runner.VERSION_TABLE}, or restore",
            )
    return todo(f"empty, the newest revision is {runner.head()}")


def _migrate(context: Context) -> None:
    with owner_session(context) as connection, alone(context, connection):
        if _revision(connection).done:  # another operator was faster
            return
        with explained("a migration failed, and left nothing", connection):
            runner.upgrade(connection)
            # Provisioning gave the application rights on whatever the owner creates.
            connection.execute(
                sql.SQL("REVOKE INSERT, UPDATE, DELETE ON {} FROM {}").format(
                    sql.Identifier(runner.VERSION_TABLE),
                    sql.Identifier(place(context).application),
                )
            )


def _finding(found: Sequence[Difference], *, prune: bool) -> Finding:
    kept = [each for each in found if harmless(each) and not prune]
    wrong = [each for each in found if each not in kept]
    if wrong:
        more = f", and {len(wrong) - 1} more" if wrong[1:] else ""
        return todo(f"not so: {_named(wrong[0])}{more}")
    if kept:
        names = ", ".join(each.part.name for each in kept)
        return done(f"as declared, beside {names}, which nobody declared (`--prune` removes it)")
    return done("as declared")


def _mend(context: Context, *, prune: bool) -> None:
    """Mend all that can be; then raise RefusedError, naming what cannot."""
    where = place(context)
    with owner_session(context) as connection, alone(context, connection):
        for _ in range(ROUNDS):
            found = differences(connection, where)
            mendable = [each for each in found if _why_not(each, prune=prune) is None]
            for each in mendable:
                _run(connection, where, each, repair(each))
                if each.part.kind is PartKind.SETTING:
                    _renew_sessions(context, connection, where)
            if not mendable:
                break
    left = [
        f"{_named(each)}: {reason}"
        for each in found
        if (reason := _why_not(each, prune=prune)) and not harmless(each)
    ]
    if left:
        raise RefusedError("; ".join(left), DIFF)


def _why_not(difference: Difference, *, prune: bool) -> str | None:
    how = repair(difference)
    if how.prunes and not prune:
        return "nobody declared it (`--prune` removes it)"
    return how.refused or None


def _run(connection: Connection, where: Place, difference: Difference, how: Repair) -> None:
    if how.as_superuser:
        connection.execute("RESET ROLE")
    try:
        with explained(_named(difference), connection):
            for statement in how.statements:
                patient = any(word in statement for word in PATIENT)
                seconds = PATIENT_SECONDS if patient else LOCK_SECONDS
                connection.execute(f"SET lock_timeout = '{seconds}s'".encode())
                connection.execute(in_schema(statement, where.schema).encode())
    finally:
        if how.as_superuser and not connection.closed:
            connection.execute("SELECT set_config('role', %s, false)", [where.owner])


def _renew_sessions(context: Context, connection: Connection, where: Place) -> None:
    """End the application's sessions, each while it is idle: they keep the setting that was mended.

    A pooler may hold them for an hour. It notices that an idle one is gone, and makes another.
    """
    now = value(connection, "SELECT clock_timestamp()")
    connection.execute("RESET ROLE")

    def gone() -> bool:
        return bool(value(connection, OLD_SESSIONS, where.application, now) == 0)

    what = f"sessions of {where.application} with the old setting"
    try:
        wait_for(what, gone, seconds=SESSIONS_SECONDS, clock=context.clock)
    except UnreachableError as error:
        raise RefusedError(error.message, "end its open transactions, then restart it") from error
    finally:
        connection.execute("SELECT set_config('role', %s, false)", [where.owner])


def _named(difference: Difference) -> str:
    drift = shown(difference)
    of = f"{drift.entity}: " if drift.entity else ""
    if drift.found is None:
        return f"{of}{drift.part} is missing"
    if drift.declared is None:
        return f"{of}{drift.part} is not declared"
    return f"{of}{drift.part} is {drift.found}, declared {drift.declared}"
