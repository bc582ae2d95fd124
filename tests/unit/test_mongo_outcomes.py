"""The driver's error table, row by row."""

import threading
from typing import Any, cast

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from cluster.drill.outcome import ACKED, Outcome, Result
from cluster.schema.guarantees import FAST
from mongo.outcomes import BY_CODE, Tries, code_of, result
from mongo.writer import Attempts, SegmentWriter, WritePath

FAILED, UNKNOWN = Outcome.FAILED, Outcome.UNKNOWN


def said(code: int) -> OperationFailure:
    return OperationFailure("said 127.0.0.1", code, {"ok": 0, "code": code})


def not_primary(code: int) -> NotPrimaryError:
    return NotPrimaryError("not primary", {"ok": 0, "code": code, "errmsg": "not primary"})


# What the driver raises for one try, and what it proves.
ROWS: list[tuple[PyMongoError, Outcome, str]] = [
    (DuplicateKeyError("E11000", 11000, {}), UNKNOWN, "DuplicateKey"),
    (WTimeoutError("waiting", 64, {}), UNKNOWN, "wtimeout"),
    (WriteConcernError("stepped down", 189, {}), UNKNOWN, "write concern not met"),
    (WriteConcernError("not primary", 10107, {}), UNKNOWN, "write concern not met"),
    (WriteConcernError("no such tag", 79, {}), UNKNOWN, "write concern not met"),
    (NetworkTimeout("h:1: timed out"), UNKNOWN, "timeout after send"),
    (AutoReconnect("h:1: connection closed"), UNKNOWN, "connection lost after send"),
    (AutoReconnect("h:1: Connection refused"), UNKNOWN, "connection lost after send"),
    (ExecutionTimeout("too long", 50, {}), UNKNOWN, "MaxTimeMSExpired"),
    (not_primary(10107), FAILED, "NotWritablePrimary"),
    (not_primary(13435), FAILED, "NotPrimaryNoSecondaryOk"),
    (not_primary(13436), FAILED, "NotPrimaryOrSecondary"),
    (not_primary(189), UNKNOWN, "PrimarySteppedDown"),
    (not_primary(91), UNKNOWN, "ShutdownInProgress"),
    (not_primary(11600), UNKNOWN, "InterruptedAtShutdown"),
    (not_primary(11602), UNKNOWN, "InterruptedDueToReplStateChange"),
    (NotPrimaryError("no code"), UNKNOWN, "connection lost after send"),
    (WriteError("not primary", 10107, {}), FAILED, "NotWritablePrimary"),
    (WriteError("refused", 121, {}), FAILED, "DocumentValidationFailure"),
    (WriteError("interrupted", 11602, {}), UNKNOWN, "InterruptedDueToReplStateChange"),
    (said(13), FAILED, "Unauthorized"),
    (said(18), FAILED, "AuthenticationFailed"),
    (said(133), FAILED, "FailedToSatisfyReadPreference"),
    (said(63), FAILED, "StaleShardVersion"),
    (said(249), FAILED, "StaleDbVersion"),
    (said(13388), FAILED, "StaleConfig"),
    (said(6), UNKNOWN, "HostUnreachable"),
    (said(7), UNKNOWN, "HostNotFound"),
    (said(64), UNKNOWN, "WriteConcernFailed"),
    (said(89), UNKNOWN, "NetworkTimeout"),
    (said(202), UNKNOWN, "NetworkInterfaceExceededTimeLimit"),
    (said(262), UNKNOWN, "ExceededTimeLimit"),
    (said(9001), UNKNOWN, "SocketException"),
    (said(4242), UNKNOWN, "code 4242"),
    (OperationFailure("no code at all"), UNKNOWN, "OperationFailure"),
    (ProtocolError("torn answer"), UNKNOWN, "ProtocolError"),
]


@pytest.mark.parametrize(("error", "outcome", "reason"), ROWS)
def test_one_try(error: PyMongoError, outcome: Outcome, reason: str) -> None:
    assert result(error, Tries.ONE) == Result(outcome, reason)


@pytest.mark.parametrize(("error", "outcome", "reason"), ROWS)
def test_after_a_possible_retry_nothing_is_proved(
    error: PyMongoError, outcome: Outcome, reason: str
) -> None:
    expected = f"{reason} after a possible retry" if outcome is FAILED else reason
    assert result(error, Tries.REPEATED, retries=2) == Result(UNKNOWN, expected, retries=2)


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("no router"),
        WaitQueueTimeoutError("no connection"),
        ConfigurationError("bad"),
        AutoReconnect("h:1: Connection refused"),
        *(row[0] for row in ROWS),
    ],
)
def test_what_was_never_sent_has_failed(error: PyMongoError) -> None:
    name = type(error).__name__
    assert result(error, Tries.NONE) == Result(FAILED, f"not sent: {name}")


def test_every_code_of_the_table_has_its_row() -> None:
    assert set(BY_CODE) <= {code_of(error) for error, _, _ in ROWS}


def test_reasons_are_few_and_hold_nothing_of_the_operation() -> None:
    reasons = {result(error, tries).reason for error, _, _ in ROWS for tries in Tries}
    assert len(reasons) < 100
    assert not any("127.0.0.1" in reason or "h:1" in reason for reason in reasons)


# The writer: how many tries there were


class FakeCollection:
    """Tells the listener of its tries as pymongo does, then raises."""

    def __init__(self, attempts: Attempts, tries: int, error: PyMongoError | None) -> None:
        self._attempts, self._tries, self._error = attempts, tries, error

    def insert_one(self, document: dict[str, Any]) -> None:
        assert document == {"_id": 7}
        for _ in range(self._tries):
            self._attempts.started(cast("Any", Event("insert")))
        if self._error:
            raise self._error


class Event:
    """A command that starts."""

    def __init__(self, name: str) -> None:
        self.command_name = name


def write(tries: int, error: PyMongoError | None, *, retryable: bool) -> Result:
    attempts = Attempts()
    collection = cast("Collection[dict[str, Any]]", FakeCollection(attempts, tries, error))
    return SegmentWriter(collection, attempts, retryable=retryable).write(7)


def test_an_acknowledged_write() -> None:
    assert write(1, None, retryable=True) is ACKED
    assert write(2, None, retryable=True) == Result(Outcome.ACKED, retries=1)


def test_a_definite_error_of_the_only_try() -> None:
    assert write(1, not_primary(10107), retryable=False).outcome is FAILED


def test_a_router_may_have_repeated_a_retryable_write() -> None:
    assert write(1, not_primary(10107), retryable=True).outcome is UNKNOWN
    assert write(1, said(133), retryable=True).outcome is UNKNOWN


def test_an_earlier_try_may_have_executed() -> None:
    assert write(2, not_primary(10107), retryable=True) == Result(
        UNKNOWN, "NotWritablePrimary after a possible retry", retries=1
    )


def test_a_refused_connection_before_the_first_try_is_definite() -> None:
    refused = AutoReconnect("127.0.0.1:1: Connection refused")
    assert write(0, refused, retryable=True) == Result(FAILED, "not sent: AutoReconnect")


def test_tries_are_counted_by_thread_and_inserts_alone() -> None:
    attempts = Attempts()
    attempts.begin()
    attempts.started(cast("Any", Event("hello")))
    other = threading.Thread(target=attempts.started, args=(Event("insert"),))
    other.start()
    other.join()
    assert attempts.sent == 0


def test_a_real_client_that_finds_no_server_has_sent_nothing() -> None:
    attempts = Attempts()
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
        "127.0.0.1", 9, timeoutMS=50, event_listeners=[attempts], retryWrites=True
    )
    with client:
        writer = SegmentWriter(client["a"]["b"], attempts, retryable=True)
        assert writer.write(7) == Result(FAILED, "not sent: ServerSelectionTimeoutError")


def test_a_path_says_how_it_writes() -> None:
    assert WritePath("s", "l", retries=True, within=2).text == "majority, retries on"
    once = WritePath("s", "l", retries=False, within=2, guarantee=FAST)
    assert once.text == "w:1, retries off"
