"""The folder of a run that never was, and that passes: made by the writers of the real ones.

One failover: the leader of `set-a` is killed after 20 s, another leads at 24 s, service is back
at 25 s, the fault is undone at 41 s, and the load ends after a minute.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cluster.drill.contracts import (
    Availability,
    Effect,
    Observation,
    Prediction,
    Promise,
    Timings,
    UndoRecord,
)
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Converged,
    Happening,
    Injected,
    Injecting,
    LoadBegan,
    LoadStopped,
    Observed,
    ReadBack,
    ReasonSeen,
    Settings,
    Undoing,
    Undone,
)
from cluster.drill.evidence import (
    EVENTS,
    LEDGER,
    RunConfig,
    StreamConfig,
    write_config,
    write_read_back,
)
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
from cluster.drill.outcome import Outcome

RUN = "5e1f7e57"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ZERO_NS = 1_000_000_000_000  # on the monotonic clock
RATE, SECONDS = 10, 60
FAULT, DETECTED, ELECTED, BACK, UNDOING, UNDONE, WHOLE = 20.0, 21.0, 24.0, 25.0, 40.0, 41.0, 45.0
LOST = 3  # of the control's newest acknowledgements before the fault
TIMEOUT, REFUSED = 1, 2  # reasons
PROMISES = {
    "promised": ("set-a", Promise(rto=30.0, election=15.0)),
    "elsewhere": ("set-b", Promise(Availability.UNTOUCHED, rto=2.0, flawless=True)),
    "cut off": ("set-a", Promise(Availability.REFUSED)),
    "control": ("set-a", Promise(Availability.UNJUDGED, rpo=300.0, must_lose=True)),
}


def write_genuine(folder: Path) -> None:
    """Fill an empty folder."""
    write_config(folder, _config())
    ledger = LedgerWriter(folder / LEDGER, RUN)
    ledger.append(*sorted(_rows(), key=lambda row: row.second))
    ledger.close()
    for number, name in enumerate(PROMISES, start=1):
        write_read_back(folder, number, [np.array(_stored(number, name), np.int64)])
    log = EventLog(folder / EVENTS, lambda: ZERO_NS, BEGAN, lambda _: None)
    for at, what in _events():
        log.add(what, _ns(at))
    log.close()


def _ns(seconds: float) -> int:
    return ZERO_NS + round(seconds * 1e9)


def _outcome(name: str, due: float) -> Outcome:
    """What became of a stream's operation."""
    if name == "elsewhere" or due < FAULT:
        return Outcome.ACKED
    if name == "cut off":
        return Outcome.FAILED if due < UNDONE else Outcome.ACKED
    if due < BACK:
        return Outcome.UNKNOWN if due < FAULT + 1 else Outcome.FAILED
    return Outcome.ACKED


def _operations() -> Iterator[tuple[int, str, int, float]]:
    for number, name in enumerate(PROMISES, start=1):
        for sequence in range(RATE * SECONDS):
            yield number, name, sequence, sequence / RATE


def _rows() -> Iterator[Row]:
    for number, name, sequence, due in _operations():
        op, outcome = op_id(number, sequence), _outcome(name, due)
        done = due + (5.0 if outcome is Outcome.UNKNOWN else 0.01)
        reason = {Outcome.UNKNOWN: TIMEOUT, Outcome.FAILED: REFUSED}.get(outcome, 0)
        yield Row(op, _ns(due), _ns(due - 0.2), INTENT)
        yield Row(op, _ns(due), _ns(done), outcome, sequence % 8, reason)


def _stored(number: int, name: str) -> list[int]:
    """What the store holds: what was acknowledged, and every other unknown."""
    kept = []
    for stream, _, sequence, due in _operations():
        outcome = _outcome(name, due)
        recovered = outcome is Outcome.UNKNOWN and sequence % 2
        lost = name == "control" and FAULT - LOST / RATE <= due < FAULT
        if stream == number and (outcome is Outcome.ACKED or recovered) and not lost:
            kept.append(op_id(number, sequence))
    return kept


def _config() -> RunConfig:
    return RunConfig(
        run=RUN,
        drill="selftest",
        hypothesis="every planted defect is found",
        began=BEGAN,
        tool="selftest",
        seed=0,
        phase_offset=0.0,
        group="set-a",
        effect=Effect.NEW_LEADER,
        timings=Timings(),
        prediction=Prediction(),
        streams=tuple(
            StreamConfig(
                number=number,
                name=name,
                group=group,
                rate=RATE,
                workers=8,
                good_within=1.0,
                write_within=5.0,
                promise=promise,
            )
            for number, (name, (group, promise)) in enumerate(PROMISES.items(), start=1)
        ),
    )


def _events() -> Iterator[tuple[float, Happening]]:
    settings = {"write concern": "majority"}
    yield -2, _observed("set-a", -2, Observation(("a1",), 1))
    yield -2, _observed("set-b", -2, Observation(("b1",), 1))
    yield -1, Settings(when="before", values=settings)
    yield 0, LoadBegan(at_ns=_ns(0))
    yield from _fault()
    yield ELECTED + 6, Settings(when="during", values=settings)
    yield from _undo()
    yield WHOLE, Converged()
    yield SECONDS, LoadStopped(until_ns=_ns(SECONDS))
    for number, name in enumerate(PROMISES, start=1):
        yield SECONDS + 1, ReadBack(stream=name, rows=len(_stored(number, name)))


def _fault() -> Iterator[tuple[float, Happening]]:
    undo = UndoRecord("start", ("a1",))
    yield FAULT - 0.1, Injecting(entry=RUN, fault="SIGKILL a1", undo=undo)
    began, at = _ns(FAULT - 0.1), _ns(FAULT)
    yield (
        FAULT,
        Injected(entry=RUN, fault="SIGKILL a1", began_ns=began, at_ns=at, proof="a1 is gone"),
    )
    yield FAULT + 1, ReasonSeen(code=REFUSED, text="NotWritablePrimary")
    yield DETECTED, _observed("set-a", DETECTED, Observation((), 1, detected_down=True))
    yield ELECTED, _observed("set-a", ELECTED, Observation(("a2",), 2))
    yield FAULT + 5, ReasonSeen(code=TIMEOUT, text="timeout after send")


def _undo() -> Iterator[tuple[float, Happening]]:
    yield UNDOING, Undoing(entry=RUN, fault="SIGKILL a1")
    yield UNDONE, Undone(entry=RUN, fault="SIGKILL a1")


def _observed(group: str, at: float, observation: Observation) -> Observed:
    return Observed(group=group, began_ns=_ns(at - 0.05), observation=observation)
