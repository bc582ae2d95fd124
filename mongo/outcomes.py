"""What an error of the driver proves about one acknowledged write: the one table that decides.

A write that is not acknowledged is `FAILED` only where the error proves that no try of it can have
executed. Everything else is `UNKNOWN`, and the read-back tells. Codes are the server's
(src/mongo/base/error_codes.yml), the same whether a mongod or a router says them.
"""

from enum import Enum

from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WTimeoutError,
)

from cluster.drill.outcome import Outcome, Result
from cluster.drill.proof import Rule, failed, unknown

REASON_NOT_SENT = "not sent"
REASON_REPEATED = "after a possible retry"


class Tries(Enum):
    """How often the write may have reached a server.

    `REPEATED` also covers a retryable write of one try: a router repeats it by itself, and what it
    answers is about the last try alone.
    """

    NONE = 0
    ONE = 1
    REPEATED = 2


# The first class that fits decides.
BY_CLASS: tuple[tuple[type[PyMongoError], Rule], ...] = (
    (
        DuplicateKeyError,
        unknown("DuplicateKey", "the key is the operation's own: an earlier try may have put it"),
    ),
    (WTimeoutError, unknown("wtimeout", "executed on the primary; may still reach a majority")),
    (
        WriteConcernError,
        unknown("write concern not met", "executed on the primary; may be kept or rolled back"),
    ),
    (NetworkTimeout, unknown("timeout after send", "the server may have executed it")),
)
CONNECTION_LOST = unknown("connection lost after send", "the server may have executed it")

BY_CODE: dict[int, Rule] = {
    # Refused before anything was done.
    13: failed("Unauthorized", "refused before execution"),
    18: failed("AuthenticationFailed", "refused before execution"),
    121: failed("DocumentValidationFailure", "the document was refused"),
    63: failed("StaleShardVersion", "the shard refuses a wrong version before execution"),
    133: failed("FailedToSatisfyReadPreference", "the router found no primary to send it to"),
    249: failed("StaleDbVersion", "the shard refuses a wrong version before execution"),
    10107: failed("NotWritablePrimary", "a member that is not primary refuses it at once"),
    13388: failed("StaleConfig", "the shard refuses a wrong version before execution"),
    13435: failed("NotPrimaryNoSecondaryOk", "a secondary refuses it at once"),
    13436: failed("NotPrimaryOrSecondary", "a recovering member refuses it at once"),
    # May have been interrupted after it was done.
    50: unknown("MaxTimeMSExpired", "interrupted; the write or the wait for its concern"),
    91: unknown("ShutdownInProgress", "the server may have executed it before it went down"),
    189: unknown("PrimarySteppedDown", "interrupted by a step-down, perhaps after execution"),
    11600: unknown("InterruptedAtShutdown", "interrupted, perhaps after execution"),
    11602: unknown("InterruptedDueToReplStateChange", "interrupted, perhaps after execution"),
    # A router that lost the shard while it waited.
    6: unknown("HostUnreachable", "the router lost the shard's connection, perhaps after sending"),
    7: unknown("HostNotFound", "the router lost the shard, perhaps after sending"),
    64: unknown("WriteConcernFailed", "executed on the primary; may still reach a majority"),
    89: unknown("NetworkTimeout", "the router waited in vain after sending"),
    202: unknown("NetworkInterfaceExceededTimeLimit", "the router waited in vain after sending"),
    262: unknown("ExceededTimeLimit", "interrupted, perhaps after execution"),
    9001: unknown("SocketException", "the router lost the shard's connection"),
}


def result(error: PyMongoError, tries: Tries, *, retries: int = 0) -> Result:
    """The outcome of a write that ended in `error`; its reason names no operation and no host."""
    if tries is Tries.NONE:
        # The driver tells its listeners of a command before the first byte leaves.
        return Result(Outcome.FAILED, f"{REASON_NOT_SENT}: {type(error).__name__}")
    rule = rule_of(error)
    if rule.outcome is Outcome.FAILED and tries is Tries.REPEATED:
        return Result(Outcome.UNKNOWN, f"{rule.name} {REASON_REPEATED}", retries=retries)
    return Result(rule.outcome, rule.name, retries=retries)


def rule_of(error: PyMongoError) -> Rule:
    """What the error proves of the try that it answers."""
    for kind, rule in BY_CLASS:
        if isinstance(error, kind):
            return rule
    code = code_of(error)
    if code is not None:
        return BY_CODE.get(code, unknown(f"code {code}", "no proof that it did not execute"))
    if isinstance(error, AutoReconnect):
        return CONNECTION_LOST
    return unknown(type(error).__name__, "no proof that it did not execute")


def code_of(error: PyMongoError) -> int | None:
    """The server's code, if a server answered at all."""
    if isinstance(error, OperationFailure):
        return error.code
    if isinstance(error, NotPrimaryError) and isinstance(error.details, dict):
        return error.details.get("code")
    return None
