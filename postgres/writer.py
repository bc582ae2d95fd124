"""Writes a drill's operations as an application does: through both proxies, as its user."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import psycopg
from psycopg import sql

from cluster.context import Context
from cluster.drill.contracts import OpIds
from cluster.drill.outcome import Outcome, Result
from cluster.errors import InconclusiveError, UnreachableError
from postgres import guarantees, names, outcomes, patroni, wire
from postgres.client import Connection, superuser, value
from postgres.scopes import primary_scope

SCHEMA = "drill"
COPY_HEADER_BYTES = 19  # signature 11, flags 4, extension length 4
COPY_ROW = np.dtype([("fields", ">i2"), ("length", ">i4"), ("op", ">i8")])
PIECE_BYTES = 1_000_000 * COPY_ROW.itemsize
LEAST_SECONDS = 0.05


@dataclass(frozen=True)
class WritePath:
    """Where a stream writes, and how; `label` is part of its table's name.

    `fresh`: a new connection for every operation. `keeps`: a session is given up only when it is
    lost, not for a server's error, as a pool does that does not test what it lends. `straight`:
    past the proxies, to PostgreSQL of the member that leads when the run begins, and to no other.
    """

    label: str
    port: int
    within: float
    fresh: bool = False
    keeps: bool = False
    straight: bool = False


class LedgerTable:
    """A table of its own for each run and stream.

    It has an index on the key, and no uniqueness: a write that was applied twice must show.
    """

    def __init__(self, context: Context, path: WritePath) -> None:
        self._context, self._path = context, path
        self._table = ""
        self._host: dict[str, str] = {}

    @property
    def table(self) -> tuple[str, str]:
        """The run's schema and table; known once it is prepared."""
        return SCHEMA, self._table

    def prepare(self, run: str) -> None:
        """Make the run's table, known to the synchronous standby. Chooses who is written to."""
        self._table = f"run_{run}_{self._path.label}"
        application = names.application(self._context.topology)
        if self._path.straight:
            self._host = {"host": patroni.leader_of(primary_scope(self._context)).address}
        with self._on_leader() as connection:
            for statement in (
                "CREATE SCHEMA IF NOT EXISTS {schema}",
                "GRANT USAGE ON SCHEMA {schema} TO {application}",
                "CREATE TABLE IF NOT EXISTS {schema}.{table} (op bigint NOT NULL)",
                "CREATE INDEX IF NOT EXISTS {index} ON {schema}.{table} (op)",
                "GRANT INSERT ON {schema}.{table} TO {application}",
            ):
                connection.execute(
                    sql.SQL(statement).format(
                        schema=sql.Identifier(SCHEMA),
                        table=sql.Identifier(self._table),
                        index=sql.Identifier(f"{self._table}_op"),
                        application=sql.Identifier(application),
                    )
                )

    def open_writer(self, worker: int) -> "TableWriter":
        """A writer; half of the workers try the second proxy first."""
        writer = TableWriter(self._parameters(worker), f"{SCHEMA}.{self._table}", self._path)
        if not self._path.fresh:
            writer.connect(self._path.within)
        return writer

    def read_back(self) -> Iterable[OpIds]:
        """All keys from the leader, by COPY in binary: it ends with a trailer or raises."""
        query = sql.SQL("COPY (SELECT op FROM {}.{}) TO STDOUT (FORMAT binary)").format(
            sql.Identifier(SCHEMA), sql.Identifier(self._table)
        )
        with self._on_leader() as connection:
            if value(connection, "SELECT pg_is_in_recovery()"):
                raise InconclusiveError("the leader is a standby: nothing can be read back")
            connection.execute("SET statement_timeout = 0")
            with connection.cursor().copy(query) as copy:
                yield from parse_copy(copy)

    def discard(self) -> None:
        """Drop the run's table; where none was made, nothing."""
        if not self._table:
            return
        with self._on_leader() as connection:
            table = sql.Identifier(SCHEMA, self._table)
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))

    def _on_leader(self) -> AbstractContextManager[Connection]:
        context = self._context
        leader = patroni.leader_of(primary_scope(context))
        return superuser(context, leader, context.topology.postgres.database)

    def _parameters(self, worker: int) -> dict[str, str | int]:
        return {
            **guarantees.parameters(self._context, self._path.port, first=worker),
            **self._host,
            "application_name": "skillswap-ops drill",
        }


class TableWriter:
    """One connection at a time; see `postgres.outcomes` for what its answers mean."""

    def __init__(self, parameters: dict[str, str | int], table: str, path: WritePath) -> None:
        self._parameters, self._table, self._path = parameters, table, path
        self._wire: wire.Wire | None = None

    def connect(self, seconds: float) -> None:
        """Open the connection. Raises psycopg.Error."""
        self._wire = wire.connect(self._parameters, seconds)

    def write(self, op: int) -> Result:
        """Insert the key, once, in a transaction of its own."""
        deadline = monotonic() + self._path.within
        if self._wire is None:
            try:
                self.connect(self._path.within)
            except psycopg.Error as error:
                return outcomes.not_connected(error)
        left = deadline - monotonic()
        if self._wire is None or left < LEAST_SECONDS:
            self.close()
            return Result(Outcome.FAILED, f"{outcomes.CONNECT}: took all the time", reopen=True)
        statement = f"INSERT INTO {self._table} VALUES ({op:d})"  # noqa: S608 - our name, an integer
        reply = self._wire.run(statement, left)
        if self._path.fresh:
            self.close()
        found = outcomes.result(reply)
        kept = self._path.keeps and reply.end is wire.End.ANSWERED
        return replace(found, reopen=False) if kept else found

    def close(self) -> None:
        """Release the connection."""
        held, self._wire = self._wire, None
        if held is not None:
            held.close()


def parse_copy(pieces: Iterable[bytes | bytearray | memoryview]) -> Iterable[OpIds]:
    """Keys of a binary COPY of one bigint column.

    Raises UnreachableError where it ends without its trailer.
    https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4
    """
    buffer = bytearray()
    header = COPY_HEADER_BYTES
    for piece in pieces:
        buffer += piece
        if header and len(buffer) >= header:
            del buffer[:header]
            header = 0
        if not header and len(buffer) > PIECE_BYTES:
            yield _take_rows(buffer, len(buffer) // COPY_ROW.itemsize - 1)
    if header or buffer[-2:] != b"\xff\xff" or (len(buffer) - 2) % COPY_ROW.itemsize:
        raise UnreachableError("the read-back ended before its end")
    yield _take_rows(buffer, (len(buffer) - 2) // COPY_ROW.itemsize)


def _take_rows(buffer: bytearray, rows: int) -> OpIds:
    size = rows * COPY_ROW.itemsize
    taken = np.frombuffer(bytes(buffer[:size]), COPY_ROW)["op"].astype(np.int64)
    del buffer[:size]
    return taken
