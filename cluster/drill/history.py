"""What a ledger says of each operation, as arrays indexed by the operation's sequence number."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cluster.drill.ledger import (
    INTENT,
    SEQUENCE_MASK,
    Extent,
    Records,
    by_stream,
    chunks,
    survey,
)
from cluster.drill.outcome import Outcome

Times = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

NO_INTENT = 0


@dataclass(frozen=True)
class History:
    """One stream: row n is its operation n. Times are monotonic ns, 0 where there is none.

    `outcome` holds the numbers of Outcome (0: no intent, so never to be read back). An intent
    without an outcome is unknown: whoever ran it died, or gave up on it.
    """

    number: int
    due: Times
    sent: Times
    done: Times
    outcome: Bytes
    reason: Bytes
    retries: Bytes

    def __len__(self) -> int:
        return len(self.due)

    def having(self, *outcomes: Outcome) -> Flags:
        """Which operations ended so."""
        found: Flags = np.zeros(len(self), np.bool_)
        for outcome in outcomes:
            found |= self.outcome == outcome
        return found

    def good(self, within_ns: int) -> Flags:
        """Which were acknowledged within that time of being due."""
        quick: Flags = self.done - self.due <= within_ns
        return self.having(Outcome.ACKED) & quick


@dataclass(frozen=True)
class Ledger:
    """All streams of a run, by number; `damage` is "" where the whole file can be trusted."""

    streams: dict[int, History]
    damage: str
    torn_bytes: int


def empty(number: int, size: int = 0) -> History:
    """A history in which nothing was intended."""
    due, sent, done = (np.zeros(size, np.int64) for _ in range(3))
    outcome, reason, retries = (np.zeros(size, np.uint8) for _ in range(3))
    return History(number, due, sent, done, outcome, reason, retries)


def read_ledger(path: Path) -> Ledger:
    """Fold a ledger file. Raises InvalidInputError, InconclusiveError (`ledger.chunks`)."""
    extent = survey(path)
    damage = extent.damage or _implausible(extent)
    if damage:
        return Ledger({}, damage, extent.torn_bytes)
    streams = {number: empty(number, last + 1) for number, last in extent.last.items()}
    counts = dict.fromkeys(streams, (0, 0))
    for records in chunks(path, extent.records):
        for number, own in by_stream(records):
            intents, outcomes = _fold(streams[number], own)
            counts[number] = counts[number][0] + intents, counts[number][1] + outcomes
    damage = next(filter(None, (_settle(streams[n], *counts[n]) for n in streams)), "")
    return Ledger(streams, damage, extent.torn_bytes)


def _implausible(extent: Extent) -> str:
    """Sequences are dense, so there cannot be higher ones than records."""
    for number, last in extent.last.items():
        if number < 1 or last >= extent.records:
            return f"stream {number} has an operation {last} in {extent.records} records"
    return ""


def _fold(history: History, records: Records) -> tuple[int, int]:
    """Enter some records; how many were intents and how many outcomes."""
    intents = records[records["kind"] == INTENT]
    sequence = intents["op"] & SEQUENCE_MASK
    history.due[sequence] = intents["first"]
    # An outcome may not be overwritten by its own intent: fresh rows only.
    fresh = sequence[history.outcome[sequence] == NO_INTENT]
    history.outcome[fresh] = INTENT
    outcomes = records[records["kind"] != INTENT]
    sequence = outcomes["op"] & SEQUENCE_MASK
    history.sent[sequence] = outcomes["first"]
    history.done[sequence] = outcomes["second"]
    history.outcome[sequence] = outcomes["kind"]
    history.reason[sequence] = outcomes["reason"]
    history.retries[sequence] = outcomes["retries"]
    return len(intents), len(outcomes)


def _settle(history: History, intents: int, outcomes: int) -> str:
    """Turn what has no outcome into unknown; what is wrong with the stream, "" for nothing."""
    pending = history.outcome == INTENT
    settled = int(np.count_nonzero(history.outcome)) - int(np.count_nonzero(pending))
    known = settled == int(np.count_nonzero(history.having(*Outcome)))
    intended = int(np.count_nonzero(history.due))
    history.outcome[pending] = Outcome.UNKNOWN
    if not known:
        return f"stream {history.number}: records of a kind that is not known"
    if intents != intended or outcomes != settled:
        return f"stream {history.number}: an operation is recorded twice"
    if intended != len(history) or settled > intended:
        return f"stream {history.number}: an operation without its intent"
    return ""
