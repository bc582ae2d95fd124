"""Which standby answers a report, and how far it is behind.

`now() - pg_last_xact_replay_timestamp()` grows for ever on an idle primary, and "replayed all that
was received" is also true of a standby that is cut off. So the primary is asked where its WAL
ends, and then the standby, on the connection that the report is read through, how far it has
replayed: if it is as far, it is not behind; else it is as old as the last commit that it replayed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, LiteralString

import psycopg

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InconclusiveError, OpsError, RefusedError, UnreachableError
from cluster.freshness import PRIMARY, SETTLE_SECONDS, Answered, Asked, Reached, answered
from cluster.inventory import Kind
from postgres import guarantees
from postgres.client import Connection, first_line

STORE = "PostgreSQL"
STATEMENT_SECONDS = 600
PRIMARY_HINT = "look at `skillswap-ops status`; `--from primary` asks the primary instead"

WAL_END = """
SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint, clock_timestamp(),
  coalesce(host(inet_server_addr()), current_setting('listen_addresses'))"""
# Behind pgbouncer the address is null, for it comes by a socket: what it listens on is its own.
REPLAYED = """
SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::bigint,
  pg_last_xact_replay_timestamp(),
  coalesce(host(inet_server_addr()), current_setting('listen_addresses'))"""


@dataclass(frozen=True)
class Reading:
    """A read-only transaction that sees one moment, and who answers in it."""

    connection: Connection
    answered: Answered


@contextmanager
def reading(context: Context, *, primary: bool = False) -> Iterator[Reading]:
    """A transaction of the application's user on a standby, or on the primary.

    Raises RefusedError where no standby answers, InconclusiveError where the standby had to give
    up the transaction or was promoted, UnreachableError where a connection is lost.
    """
    with ExitStack() as stack:
        if primary:
            connection = stack.enter_context(guarantees.session(context))
            source = _of_primary(context, connection)
        else:
            asked = ask_primary(context)
            connection = _to_standby(context, stack)
            source = _of_standby(context, connection, asked)
        stack.enter_context(_snapshot(connection))
        yield Reading(connection, source)


def ask_primary(context: Context) -> Asked | None:
    """Where the primary's WAL ends; None where no primary answers."""
    try:
        with guarantees.session(context) as connection:
            place, now, _ = _row(connection, WAL_END)
    except OpsError:
        return None
    return Asked(place, now)


def behind(asked: Asked | None, member: str, reached: Reached) -> Answered:
    """What is to be said of a standby's answer."""
    found = answered(STORE, member, "standby", asked, reached)
    if asked is None:
        return found
    return replace(found, staleness_bytes=max(0, asked.place - reached.place))


def _to_standby(context: Context, stack: ExitStack) -> Connection:
    try:
        return stack.enter_context(guarantees.session(context, guarantees.reporting_way()))
    except UnreachableError as error:
        raise RefusedError(f"no standby can answer: {error.message}", PRIMARY_HINT) from error


def _of_primary(context: Context, connection: Connection) -> Answered:
    _, now, address = _row(connection, WAL_END)
    return Answered(STORE, _member(context, address), PRIMARY, now, 0.0, 0)


def _of_standby(context: Context, connection: Connection, asked: Asked | None) -> Answered:
    """What it says once it is where the primary was, or after SETTLE_SECONDS."""
    latest: list[Answered] = []

    def caught_up() -> bool:
        recovering, place, newest, address = _row(connection, REPLAYED)
        if not recovering:
            raise InconclusiveError("the standby was promoted just now", "run it again")
        latest.append(behind(asked, _member(context, address), Reached(place, newest)))
        return asked is None or latest[-1].staleness_seconds == 0

    with suppress(UnreachableError):
        wait_for("the standby", caught_up, seconds=SETTLE_SECONDS, clock=context.clock)
    return latest[-1]


@contextmanager
def _snapshot(connection: Connection) -> Iterator[None]:
    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Set for the transaction alone: the pooler gives the session to others after it.
            connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
            yield
    except psycopg.errors.UndefinedTable as error:
        what = f"the schema is not applied: {first_line(error)}"
        raise RefusedError(what, "run `skillswap-ops schema apply`") from error
    except psycopg.errors.SerializationFailure as error:
        raise InconclusiveError(
            "the standby had to replay a change that the question was still reading",
            "run it again, or with `--from primary`",
        ) from error


def _member(context: Context, address: str) -> str:
    """The node's name; the address where the inventory knows it not."""
    members = context.inventory.of(Kind.POSTGRES)
    return next((node.name for node in members if node.address == address), address)


def _row(connection: Connection, query: LiteralString) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise InconclusiveError("PostgreSQL gave no answer")
    return row
