"""The session in which the schema is read and changed: as its owner, patient with nobody's locks.

DDL that waits for a lock makes every later query wait behind it. So it gives up soon, and says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import BusyError, OpsError, RefusedError, UnreachableError
from postgres import names, patroni
from postgres.client import Connection, first_line, superuser, value
from postgres.scopes import primary_scope

LOCK_SECONDS = 2  # how long DDL may keep writers waiting behind it
OTHERS_SECONDS = 120  # how long another operator's run may take
ADVISORY_KEY = 0x736B696C6C73776F  # "skillswo": any number that nobody else uses
AGAIN = "wait until it has ended, or end it, and run `skillswap-ops schema apply` again"

OLDEST = """
SELECT format('%s of %s, pid %s, open for %s s', application_name, usename, pid,
  round(extract(epoch FROM clock_timestamp() - xact_start)))
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start LIMIT 1"""


@dataclass(frozen=True)
class Place:
    """Where the tables live, who owns them, and who uses them."""

    schema: str
    owner: str
    application: str


def place(context: Context) -> Place:
    """The schema of the topology's database."""
    topology = context.topology
    return Place(topology.postgres.database, names.owner(topology), names.application(topology))


@contextmanager
def owner_session(context: Context) -> Iterator[Connection]:
    """A superuser's session on the leader that acts as the schema's owner, in autocommit mode.

    Raises UnreachableError where nobody leads, BusyError where a lock could not be had,
    RefusedError where the database was never provisioned.
    """
    scope, where = primary_scope(context), place(context)
    leader = patroni.leader_of(scope)
    with superuser(context, leader, context.topology.postgres.database) as connection:
        if not value(connection, "SELECT to_regrole(%s) IS NOT NULL", where.owner):
            raise RefusedError(
                f"role {where.owner} does not exist", "run `skillswap-ops provision`"
            )
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
        # It builds indexes and validates constraints, which keep nobody waiting.
        connection.execute("SET statement_timeout = 0")
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(where.owner)))
        look_in(connection, where.schema)
        try:
            yield connection
        except psycopg.errors.LockNotAvailable as error:
            raise BusyError(_busy(connection, error), AGAIN) from error


def look_in(connection: Connection, schema: str, *, local: bool = False) -> None:
    """Unqualified names are those of this schema; nobody's temporary tables come before them.

    `local`: until the transaction ends.
    """
    statement = (
        "SET LOCAL search_path TO {}, pg_temp" if local else "SET search_path TO {}, pg_temp"
    )
    connection.execute(sql.SQL(statement).format(sql.Identifier(schema)))


@contextmanager
def alone(context: Context, connection: Connection) -> Iterator[None]:
    """Nobody else changes the schema meanwhile. Raises BusyError where somebody does for long.

    It asks again and again: a session that waits for the lock inside a statement has a snapshot,
    and CREATE INDEX CONCURRENTLY of the other operator would wait for that one.
    """

    def locked() -> bool:
        return bool(value(connection, "SELECT pg_try_advisory_lock(%s)", ADVISORY_KEY))

    try:
        wait_for("the other run", locked, seconds=OTHERS_SECONDS, clock=context.clock)
    except UnreachableError as error:
        raise BusyError(f"another run changes the schema: {_oldest(connection)}", AGAIN) from error
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # where the session is lost, so is its lock
            connection.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_KEY])


@contextmanager
def explained(what: str, connection: Connection) -> Iterator[None]:
    """Says what a statement that failed means; a lost session and a lock are the session's own.

    Raises RefusedError where rows break a rule, OpsError for any other refusal of the server's.
    """
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.errors.IntegrityError as error:
        raise RefusedError(
            f"{what}: {first_line(error)}",
            "correct the rows that break the rule, then run it again",
        ) from error
    except psycopg.Error as error:
        if connection.closed:
            raise
        raise OpsError(
            f"{what}: {first_line(error)}", "look at `skillswap-ops schema diff`"
        ) from error


def _busy(connection: Connection, error: psycopg.Error) -> str:
    oldest = _oldest(connection)
    return f"{first_line(error)}, {LOCK_SECONDS} s were waited" + (
        f" (the oldest transaction: {oldest})" if oldest else ""
    )


def _oldest(connection: Connection) -> str:
    with suppress(psycopg.Error):
        connection.rollback()
        return str(value(connection, OLDEST) or "")
    return ""
