"""RPO: how much of what was acknowledged is gone, and how it lies to the fault."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.drill.checkers.leadership import Span
from cluster.drill.contracts import OpIds
from cluster.drill.history import History, Times
from cluster.drill.ledger import SEQUENCE_MASK
from cluster.drill.outcome import Outcome


@dataclass(frozen=True)
class Loss:
    """Acknowledged writes that are gone.

    `seconds` is the RPO: from the oldest lost acknowledgement to the fault, or to the newest lost
    one where that is later (an isolated primary goes on acknowledging). `unprotected` of the
    `count` were acknowledged while certainly no synchronous standby was attached.
    """

    count: int
    unprotected: int
    seconds: float


def loss(history: History, lost: OpIds, fault_ns: int | None, unprotected: Sequence[Span]) -> Loss:
    """Measure what `sets.compare` found lost; without a fault, to the newest lost one."""
    if not len(lost):
        return Loss(0, 0, 0.0)
    acked = history.done[lost & SEQUENCE_MASK]
    oldest, newest = int(acked.min()), int(acked.max())
    end = newest if fault_ns is None else max(newest, fault_ns)
    excused = sum(_within(acked, span) for span in unprotected)
    return Loss(len(lost), excused, (end - oldest) / 1e9)


@dataclass(frozen=True)
class Exposure:
    """Writes acknowledged while no synchronous standby was attached, over how many seconds."""

    acked: int
    seconds: float


def exposure(history: History, unprotected: Sequence[Span]) -> Exposure:
    """How long, and for how many acknowledgements, a stream stood unprotected.

    A span counts from its beginning to the last acknowledgement in it.
    """
    if not unprotected:
        return Exposure(0, 0.0)
    acked = history.done[history.having(Outcome.ACKED)]
    inside = [acked[(acked >= span.from_ns) & (acked < span.until_ns)] for span in unprotected]
    seconds = sum(
        (int(found.max()) - span.from_ns) / 1e9
        for span, found in zip(unprotected, inside, strict=True)
        if len(found)
    )
    return Exposure(sum(map(len, inside)), seconds)


def _within(times: Times, span: Span) -> int:
    return int(np.count_nonzero((times >= span.from_ns) & (times < span.until_ns)))
