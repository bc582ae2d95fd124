"""A connection whose every wait has a deadline, and that never cancels: libpq, without blocking.

A driver's timeout cancels the statement, and PostgreSQL answers a cancelled wait for the
synchronous standby with COMMIT and a warning. So a statement that takes too long is left alone and
the socket is shut down: what became of it is not known, and that is what the caller is told.
"""

import os
import select
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from time import monotonic

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq import DiagnosticField

FINE = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})
CLOSE_SECONDS = 1.0


class End(Enum):
    """How the exchange of one statement ended."""

    ANSWERED = "answered"  # the server was ready for the next statement
    NOT_SENT = "not sent"  # the connection was known to be lost before
    LOST = "connection lost"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class ServerError:
    """An error as a server (or pgbouncer, in its name) reported it."""

    sqlstate: str
    severity: str
    message: str


@dataclass(frozen=True)
class Reply:
    """All that came back for one statement. `completed`: the server said that it was done."""

    end: End
    completed: bool = False
    error: ServerError | None = None
    warnings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Wire:
    """One connection. Used by one thread; `close` may be called by another to free it."""

    def __init__(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        self._connection = connection
        self._warnings: list[str] = []
        self._busy = threading.Lock()
        connection.add_notice_handler(self._notice)
        connection.pgconn.nonblocking = 1

    def run(self, statement: str, seconds: float) -> Reply:
        """Send one statement by the simple protocol and take the answer.

        There the server says that an INSERT is done only after its commit, and the wait for the
        synchronous standby.
        """
        with self._busy:
            self._warnings.clear()
            deadline = monotonic() + seconds
            connection = self._connection.pgconn
            if connection.status != pq.ConnStatus.OK:
                return Reply(End.NOT_SENT)
            results: list[pq.abc.PGresult] = []
            try:
                connection.send_query(statement.encode())
                end = _receive(connection, results, deadline)
            except psycopg.Error:
                end = End.LOST
            if end is not End.ANSWERED:
                self._shut_down()
            return _reply(end, results, tuple(self._warnings))

    def close(self) -> None:
        """Say goodbye; where another thread waits in `run`, shut the socket down under it."""
        if not self._busy.acquire(blocking=False):
            self._shut_down()
            if not self._busy.acquire(timeout=CLOSE_SECONDS):
                return  # its thread will see the end, and the process's end releases the rest
        try:
            self._connection.close()
        finally:
            self._busy.release()

    def _shut_down(self) -> None:
        with (
            suppress(OSError, psycopg.Error),
            # A copy of the descriptor: libpq goes on owning its own.
            socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as handle,
        ):
            handle.shutdown(socket.SHUT_RDWR)

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self._warnings.append(diagnostic.message_primary or "")


def connect(parameters: Mapping[str, str | int], seconds: float) -> Wire:
    """Connect within about `seconds` a host (libpq's least is 2). Raises psycopg.Error."""
    settings: dict[str, str | int] = {
        **parameters,
        "connect_timeout": max(2, int(seconds)),
        "tcp_user_timeout": 5000,  # milliseconds that sent data may stay unacknowledged
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    connection = psycopg.connect(
        make_conninfo("", **settings), autocommit=True, prepare_threshold=None
    )
    return Wire(connection)


def _receive(connection: pq.abc.PGconn, results: "list[pq.abc.PGresult]", deadline: float) -> End:
    """Collect results until the server is ready again."""
    while connection.flush():
        if not _wait(connection, select.POLLOUT | select.POLLIN, deadline):
            return End.TIMEOUT
        connection.consume_input()
    while True:
        while connection.is_busy():
            if not _wait(connection, select.POLLIN, deadline):
                return End.TIMEOUT
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            alive = connection.status == pq.ConnStatus.OK
            return End.ANSWERED if alive else End.LOST
        results.append(result)


def _wait(connection: pq.abc.PGconn, events: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(connection.socket, events)
    return bool(poll.poll(max(0.0, deadline - monotonic()) * 1000))


def _reply(end: End, results: "list[pq.abc.PGresult]", warnings: tuple[str, ...]) -> Reply:
    failed = [result for result in results if result.status not in FINE]
    error = _error(failed[0]) if failed else None
    return Reply(
        end,
        completed=bool(results) and not failed,
        error=error,
        warnings=warnings,
        rows=_rows(results[-1]) if results and not failed else (),
    )


def _error(result: pq.abc.PGresult) -> ServerError | None:
    """The error that a server sent; None for one that libpq made up (no SQLSTATE)."""
    sqlstate = _field(result, DiagnosticField.SQLSTATE)
    if not sqlstate:
        return None
    return ServerError(
        sqlstate,
        _field(result, DiagnosticField.SEVERITY_NONLOCALIZED)
        or _field(result, DiagnosticField.SEVERITY),
        _field(result, DiagnosticField.MESSAGE_PRIMARY),
    )


def _field(result: pq.abc.PGresult, field: DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode("utf-8", "replace")


def _rows(result: pq.abc.PGresult) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple((result.get_value(row, column) or b"").decode() for column in range(result.nfields))
        for row in range(result.ntuples)
    )
