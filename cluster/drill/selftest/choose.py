"""Where in a run a defect can be planted; pure, and NotPlantable where nowhere."""

from collections.abc import Callable

import numpy as np

from cluster.drill.contracts import Availability, OpIds
from cluster.drill.events import Event
from cluster.drill.history import Flags
from cluster.drill.judge_streams import in_time
from cluster.drill.ledger import SEQUENCE_MASK, op_id
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.outcome import Outcome
from cluster.drill.timeline import Injection
from cluster.drill.verdict import Validity


class NotPlantable(Exception):  # noqa: N818 - no error: a run may have no place for a defect
    """The run has no place for it; the text says why."""


def stream(measures: Measures, fits: Callable[[StreamMeasures], bool], what: str) -> StreamMeasures:
    """The first stream that fits."""
    for each in measures.streams:
        if len(each.history) and fits(each):
            return each
    raise NotPlantable(f"no stream {what}")


def fault(measures: Measures) -> Injection:
    """The fault that times count from."""
    if measures.fault is None:
        raise NotPlantable("no fault was proved")
    return measures.fault


def event(events: tuple[Event, ...], kind: type, what: str) -> Event:
    """The first event of a kind."""
    for each in events:
        if isinstance(each.what, kind):
            return each
    raise NotPlantable(f"the run has no {what}")


def read(of: StreamMeasures) -> OpIds:
    """What was read back of a stream."""
    rows = of.whole.run.read[of.config.number]
    if rows is None or not len(rows):
        raise NotPlantable(f"{of.config.name} was not read back")
    return np.array(rows)


def having(of: StreamMeasures, chosen: Flags) -> OpIds:
    """The ids of the chosen operations."""
    ids: OpIds = np.flatnonzero(chosen).astype(np.int64) | op_id(of.config.number, 0)
    return ids


def due_between(of: StreamMeasures, from_ns: int, until_ns: int) -> Flags:
    """The acknowledged operations that were due in [from, until)."""
    due = of.history.due
    chosen: Flags = of.history.having(Outcome.ACKED) & (due >= from_ns) & (due < until_ns)
    return chosen


def kept_ack(of: StreamMeasures) -> np.int64:
    """The newest write that was acknowledged, protected, before the fault, and read."""
    acked = having(of, due_between(of, 0, fault(of.whole).began_ns))
    acked = acked[np.isin(acked, read(of))]
    done = of.history.done[acked & SEQUENCE_MASK]
    for span in of.unprotected:
        acked = acked[(done < span.from_ns) | (done >= span.until_ns)]
        done = of.history.done[acked & SEQUENCE_MASK]
    if not len(acked):
        raise NotPlantable(f"{of.config.name}: no protected write before the fault was kept")
    return np.int64(acked[-1])


def promises_all(of: StreamMeasures) -> bool:
    """Has it promised to lose nothing?"""
    return of.config.promise.rpo == 0 and not of.config.promise.must_lose


def must_recover(of: StreamMeasures) -> bool:
    """Has it promised to be back in time, and may fail until then?"""
    promise = of.config.promise
    return promise.availability is Availability.RESTORED and not promise.flawless


def untouched(of: StreamMeasures) -> bool:
    """Was it not down, as it has promised?"""
    promised = of.config.promise.availability is Availability.UNTOUCHED
    return promised and all(finding.validity is Validity.VALID for finding in in_time(of))


def control_that_lost(of: StreamMeasures) -> bool:
    """Is it a control that did what it must?"""
    return of.config.promise.must_lose and of.loss is not None and of.loss.count > 0


def must_refuse(of: StreamMeasures) -> bool:
    """Has it promised to acknowledge nothing during the fault?"""
    return of.config.promise.refuses or of.config.promise.availability is Availability.REFUSED
