"""Every write that went wrong, by its id: when it was due, and when it was acknowledged."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from cluster.drill.contracts import OpIds
from cluster.drill.ledger import SEQUENCE_BITS, SEQUENCE_MASK
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.outcome import Outcome

SHOWN = 1000


@dataclass(frozen=True)
class Defect:
    """A write. `due` and `acked` are seconds since the fault, None where there is none."""

    kind: str
    stream: str
    op: int
    outcome: str
    utc: datetime | None
    due: float | None
    acked: float | None


def defects(measures: Measures, origin_ns: int, origin_utc: datetime) -> tuple[Defect, ...]:
    """The first thousand, the lost ones first."""
    return tuple(islice(_defects(measures, origin_ns, origin_utc), SHOWN))


def _defects(measures: Measures, origin_ns: int, origin_utc: datetime) -> Iterator[Defect]:
    for kind in ("lost", "phantom", "duplicate", "resurrected"):
        for stream in measures.streams:
            if stream.sets is None:
                continue
            ops: OpIds = getattr(stream.sets, kind)
            for op in ops[:SHOWN].tolist():
                yield _defect(kind, stream, op, origin_ns, origin_utc)


def _defect(
    kind: str, stream: StreamMeasures, op: int, origin_ns: int, origin_utc: datetime
) -> Defect:
    history, sequence = stream.history, op & SEQUENCE_MASK
    own = stream.config.number == op >> SEQUENCE_BITS and sequence < len(history)
    due_ns = int(history.due[sequence]) if own else 0
    if not due_ns:
        return Defect(kind, stream.config.name, op, "never attempted", None, None, None)
    since = (due_ns - origin_ns) / 1e9
    outcome = Outcome(int(history.outcome[sequence]))
    acked = (int(history.done[sequence]) - origin_ns) / 1e9 if outcome is Outcome.ACKED else None
    utc = origin_utc + timedelta(seconds=since)
    return Defect(kind, stream.config.name, op, outcome.name.lower(), utc, since, acked)
