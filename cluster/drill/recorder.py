"""Writes down how operations ended: into the ledger, the live counts, and reasons as events."""

import threading
from dataclasses import dataclass

from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    ReasonSeen,
)
from cluster.drill.ledger import OTHER_REASON, LedgerWriter, Row
from cluster.drill.meter import Meter
from cluster.drill.outcome import Outcome, Result

MAX_RETRIES = 255
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Due:
    """An operation whose intent is durable."""

    op: int
    due_ns: int


class Recorder:
    """Shared by all workers of a run."""

    def __init__(self, ledger: LedgerWriter, events: EventLog) -> None:
        self._ledger, self._events = ledger, events
        self._codes: dict[str, int] = {"": 0}
        self._lock = threading.Lock()

    def settle(
        self, meter: Meter, due: Due, worker: int, result: Result, sent_ns: int, done_ns: int
    ) -> None:
        """An operation has ended; `sent_ns` is 0 if it was never sent."""
        self._ledger.append(
            Row(
                due.op,
                sent_ns,
                done_ns,
                result.outcome,
                worker,
                self._code(_clean(result.reason)),
                min(result.retries, MAX_RETRIES),
            )
        )
        meter.settled(due.due_ns, done_ns, result.outcome, result.reason)

    def _code(self, reason: str) -> int:
        with self._lock:
            code = self._codes.get(reason)
            if code is not None:
                return code
            code = min(len(self._codes), OTHER_REASON)
            first_other = code == OTHER_REASON and OTHER_REASON not in self._codes.values()
            if code < OTHER_REASON or first_other:
                self._codes[reason] = code
        if code < OTHER_REASON or first_other:
            text = "(other reasons)" if first_other else reason
            self._events.add(ReasonSeen(code=code, text=text))
        return code


def _clean(reason: str) -> str:
    return reason[:REASON_LENGTH].encode(errors="replace").decode()


def unsent(reason: str) -> Result:
    """An operation that was never sent."""
    return Result(Outcome.UNSENT, reason)


def unknown(reason: str) -> Result:
    """An operation that may have executed."""
    return Result(Outcome.UNKNOWN, reason)
