"""MongoDB's error codes that the router itself gives, and the error that carries one.

Numbers and names are MongoDB's own (`src/mongo/base/error_codes.yml`).
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

MONGOS_NEEDED = "the segment router cannot do this: mongos is needed"

RETRYABLE_WRITE = "RetryableWriteError"
TRANSIENT_TRANSACTION = "TransientTransactionError"
RESUMABLE_CHANGE_STREAM = "ResumableChangeStreamError"


class Code(IntEnum):
    """MongoDB's error codes, by MongoDB's names."""

    BadValue = 2
    HostUnreachable = 6
    FailedToParse = 9
    Unauthorized = 13
    TypeMismatch = 14
    ProtocolError = 17
    AuthenticationFailed = 18
    IllegalOperation = 20
    InvalidBSON = 22
    NamespaceNotFound = 26
    CursorNotFound = 43
    CommandNotFound = 59
    StaleShardVersion = 63
    ShardNotFound = 70
    InvalidOptions = 72
    InvalidNamespace = 73
    NetworkTimeout = 89
    ShutdownInProgress = 91
    CommandNotSupported = 115
    CommandFailed = 125
    FailedToSatisfyReadPreference = 133
    StaleEpoch = 150
    PrimarySteppedDown = 189
    TransactionTooOld = 225
    StaleDbVersion = 249
    NoSuchTransaction = 251
    OperationNotSupportedInTransaction = 263
    MechanismUnavailable = 334
    UnsupportedOpQueryCommand = 352
    NotWritablePrimary = 10107
    InterruptedAtShutdown = 11600
    InterruptedDueToReplStateChange = 11602
    StaleConfig = 13388
    NotPrimaryNoSecondaryOk = 13435
    NotPrimaryOrSecondary = 13436
    UnrecognizedStage = 40324
    MissingField = 40414
    UnknownField = 40415
    DatabaseMissing = 40571
    SecondAuthentication = 5626701


# Codes without a name of their own are shown by MongoDB as `Location<code>`.
_NAMELESS = frozenset(
    {
        Code.UnrecognizedStage,
        Code.MissingField,
        Code.UnknownField,
        Code.DatabaseMissing,
        Code.SecondAuthentication,
    }
)


def _name(code: int) -> str:
    return f"Location{code}" if code in _NAMELESS else Code(code).name


class CommandError(Exception):
    """A command failed; becomes the error document that the client sees."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        name: str | None = None,
        labels: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.name = name or _name(code)
        self.labels = tuple(labels)
        self.extra = dict(extra or {})

    def document(self) -> dict[str, Any]:
        """The reply's fields."""
        reply = {
            "ok": 0.0,
            "errmsg": self.message,
            "code": int(self.code),
            "codeName": self.name,
        }
        labels = {"errorLabels": list(self.labels)} if self.labels else {}
        return {**self.extra, **reply, **labels}


def needs_mongos(what: str, code: Code = Code.CommandNotSupported) -> CommandError:
    """The refusal of what only mongos can do."""
    return CommandError(code, f"{what}: {MONGOS_NEEDED}")


def unauthorized(what: str) -> CommandError:
    """The refusal of what the user has no right to."""
    return CommandError(Code.Unauthorized, what)
