"""What a write's answer means; apart from the other contracts, for services need no numpy."""

from dataclasses import dataclass
from enum import IntEnum


class Outcome(IntEnum):
    """What became of an operation. The numbers are the ledger's."""

    ACKED = 2
    FAILED = 3  # the error proves that it did not execute
    UNKNOWN = 4  # connection lost, timeout, wtimeout: it may have executed
    UNSENT = 5  # due, and never sent: counts as down, did not execute


@dataclass(frozen=True, slots=True)
class Result:
    """What a writer says of one operation.

    `reason` is a short *stable* text: the error's class or code ("NotWritablePrimary",
    "25006 read_only_sql_transaction", "timeout after send"), no op id, address or password in
    it, for the ledger keeps at most 254 different ones. `reopen` asks for a new writer before
    the next operation. `retries` is how often the driver is known to have tried again.
    """

    outcome: Outcome
    reason: str = ""
    reopen: bool = False
    retries: int = 0


ACKED = Result(Outcome.ACKED)
