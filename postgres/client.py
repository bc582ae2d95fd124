"""Connections to PostgreSQL for administration; a driver error ends here as an OpsError."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeAlias

import psycopg

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from postgres.names import POSTGRES_PORT, SUPERUSER, password

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 15
APPLICATION = "skillswap-ops"


@contextmanager
def session(
    *,
    host: str,
    port: int,
    user: str,
    password: str,
    database: str,
    trust: str,
    seconds: float = CONNECT_SECONDS,
    statement_seconds: float | None = STATEMENT_SECONDS,
) -> Iterator[Connection]:
    """A connection in autocommit mode.

    `seconds` bounds the connecting (libpq's least is 2), `statement_seconds` each statement (None
    through pgbouncer, which refuses start-up options). `trust` is the file by which the server is
    verified; empty: it is not asked for TLS by us. Raises UnreachableError where the
    connection cannot be made or is lost, OpsError for any other error of the server's.
    """
    options = f"-c statement_timeout={round(statement_seconds * 1000)}" if statement_seconds else ""
    try:
        with psycopg.connect(
            host=host,
            port=port,
            user=user,
            password=password,
            dbname=database,
            connect_timeout=max(2, round(seconds)),  # libpq takes nothing below 2
            options=options or None,
            application_name=APPLICATION,
            autocommit=True,
            prepare_threshold=None,
            **secured(trust),
        ) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise UnreachableError(f"{host}:{port} as {user}: {first_line(error)}") from error
    except psycopg.Error as error:
        raise OpsError(f"{host}:{port} as {user}: {first_line(error)}") from error


def secured(trust: str) -> dict[str, Any]:
    """libpq's parameters for servers that are verified by the file `trust`; none without one."""
    return {"sslmode": "verify-full", "sslrootcert": trust} if trust else {}


@contextmanager
def superuser(
    context: Context, node: Node, database: str = "postgres", seconds: float = CONNECT_SECONDS
) -> Iterator[Connection]:
    """A superuser's connection to a node's own PostgreSQL."""
    with session(
        host=node.address,
        port=POSTGRES_PORT,
        user=SUPERUSER,
        password=password(context, SUPERUSER),
        database=database,
        trust=node.trust,
        seconds=seconds,
    ) as connection:
        yield connection


def value(connection: Connection, query: LiteralString, *parameters: object) -> Any:
    """The first column of the first row; None where there is no row."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def first_line(error: Exception) -> str:
    """What a driver's error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
