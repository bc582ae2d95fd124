"""What an answer proves about a write, row by row."""

import psycopg
import pytest

from cluster.drill.outcome import ACKED, Outcome
from postgres.outcomes import not_connected, result
from postgres.wire import End, Reply, ServerError

FAILED, UNKNOWN = Outcome.FAILED, Outcome.UNKNOWN


def said(sqlstate: str, severity: str = "ERROR", message: str = "said 127.0.0.1") -> Reply:
    end = End.ANSWERED if severity == "ERROR" else End.LOST
    return Reply(end, error=ServerError(sqlstate, severity, message))


def pooler(message: str) -> Reply:
    return said("08P01", "FATAL", message)


ROWS: list[tuple[Reply, Outcome, str]] = [
    # The statement failed, the session goes on: rolled back, whatever it was.
    (said("25006"), FAILED, "25006 read_only_sql_transaction"),
    (said("40001"), FAILED, "40001 serialization_failure"),
    (said("40P01"), FAILED, "40P01 deadlock_detected"),
    (said("53100"), FAILED, "53100 disk_full"),
    (said("42P01"), FAILED, "42P01 undefined_table"),
    (said("42501"), FAILED, "42501 insufficient_privilege"),
    (said("57014"), FAILED, "57014 query_canceled"),
    (said("XX000"), FAILED, "XX000 error"),
    # The session ended at login.
    (said("57P03", "FATAL"), FAILED, "57P03 cannot_connect_now"),
    (said("53300", "FATAL"), FAILED, "53300 too_many_connections"),
    (said("28P01", "FATAL"), FAILED, "28P01 invalid_password"),
    # The session ended, perhaps behind the commit.
    (said("57P01", "FATAL"), UNKNOWN, "57P01 admin_shutdown"),
    (said("57P02", "FATAL"), UNKNOWN, "57P02 crash_shutdown"),
    (said("XX000", "PANIC"), UNKNOWN, "XX000 fatal"),
    (said("57P05", "FATAL"), UNKNOWN, "57P05 fatal"),
    # pgbouncer, before and after it had found a server.
    (pooler("query_wait_timeout"), FAILED, "08P01 pgbouncer: no server"),
    (
        pooler("server login has been failing, try again later (server_login_retry)"),
        FAILED,
        "08P01 pgbouncer: no server",
    ),
    (pooler("client_login_timeout (server down)"), FAILED, "08P01 pgbouncer: no server"),
    (pooler("server conn crashed?"), UNKNOWN, "08P01 pgbouncer: server lost"),
    (pooler("something new"), UNKNOWN, "08P01 pgbouncer: server lost"),
    # No answer.
    (Reply(End.NOT_SENT), FAILED, "connection known to be lost before sending"),
    (Reply(End.LOST), UNKNOWN, "connection lost after send"),
    (Reply(End.LOST, completed=True), UNKNOWN, "connection lost after send"),
    (Reply(End.TIMEOUT), UNKNOWN, "timeout after send"),
    (Reply(End.TIMEOUT, completed=True), UNKNOWN, "timeout after send"),
    (Reply(End.ANSWERED), UNKNOWN, "connection lost after send"),
    # A commit that a standby may not have.
    (
        Reply(End.ANSWERED, completed=True, warnings=("canceling wait for synchronous",)),
        UNKNOWN,
        "committed with a warning",
    ),
]


@pytest.mark.parametrize(("reply", "outcome", "reason"), ROWS)
def test_row(reply: Reply, outcome: Outcome, reason: str) -> None:
    found = result(reply)
    assert (found.outcome, found.reason) == (outcome, reason)
    assert found.reopen


def test_acknowledged() -> None:
    assert result(Reply(End.ANSWERED, completed=True)) is ACKED


def test_reasons_name_no_host() -> None:
    assert all("127.0.0.1" not in result(reply).reason for reply, _, _ in ROWS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('connection to server at "127.0.0.1", port 5000 failed: Connection refused', "refused"),
        ("connection timeout expired", "timeout"),
        ("server closed the connection unexpectedly", "closed at once"),
        ("something else of 127.0.0.1", "error"),
    ],
)
def test_nothing_was_sent_without_a_connection(text: str, reason: str) -> None:
    found = not_connected(psycopg.OperationalError(text))
    assert (found.outcome, found.reason) == (FAILED, f"connect: {reason}")
