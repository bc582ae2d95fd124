"""Each fault of a soak by itself: who was down for how long, and was the cluster whole again?"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cluster.drill.checkers.availability import Outage
from cluster.drill.eventlog import read_events
from cluster.drill.events import (
    Converged,
    Event,
    Injected,
    LoadStopped,
    RoundBegan,
    RoundMissed,
    Undone,
    WorkFailed,
)
from cluster.drill.evidence import EVENTS
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.verdict import Finding, Validity, invalid, unknown, valid

ROUNDS = "rounds"
MISSED_SHARE = 0.1  # of the rounds: a soak of which more had no fault has shown too little
STALLED_SHARE = 0.1  # the same, of those in which the harness stood still


@dataclass
class Round:
    """A round as its events tell it; ns are monotonic."""

    number: int
    name: str
    began_ns: int
    faults: list[str] = field(default_factory=list)
    undone_ns: int | None = None
    converged_ns: int | None = None
    missing: str = ""
    missed: str = ""  # why its fault could not be done
    failed: str = ""  # day-2 work that did not end well, and why
    until_ns: int | None = None

    @property
    def subject(self) -> str:
        """What its finding is about."""
        return f"round {self.number}, {self.name}"


def rounds_of(events: Sequence[Event]) -> tuple[Round, ...]:
    """The rounds of a run; the last ends when the load does."""
    found: list[Round] = []
    for event in events:
        if isinstance(event.what, RoundBegan):
            if found:
                found[-1].until_ns = event.ns
            found.append(Round(event.what.number, event.what.name, event.ns))
        elif found:
            _take(found[-1], event)
    return tuple(found)


def _take(last: Round, event: Event) -> None:
    match event.what:
        case Injected(fault=fault):
            last.faults.append(fault)
        case RoundMissed(why=why):
            last.missed = why
        case WorkFailed(work=work, why=why):
            last.failed = f"{work}: {why}"
        case Undone():
            last.undone_ns = event.ns
        case Converged(missing=missing) if last.converged_ns is None:
            last.converged_ns, last.missing = event.ns, missing
        case LoadStopped(until_ns=until_ns):
            last.until_ns = until_ns
        case _:
            pass


def failing_round(findings: Iterable[Finding]) -> int | None:
    """The number of the first round that broke a promise; None where none by itself did."""
    broken = [
        each for each in findings if each.check == ROUNDS and each.validity is Validity.INVALID
    ]
    numbers = (re.match(r"round (\d+), ", each.subject) for each in broken)
    return min((int(found[1]) for found in numbers if found), default=None)


def every_round(measures: Measures) -> Iterator[Finding]:
    """A finding a round; too many without their fault, or with a stall, are one of their own."""
    found = rounds_of(read_events(measures.run.folder / EVENTS))
    for each in found:
        yield _judge(measures, each)
    if not found:
        yield unknown(ROUNDS, "no fault of the soak was begun")
    missed = sum(bool(each.missed) for each in found)
    if missed > MISSED_SHARE * len(found):
        yield unknown(ROUNDS, f"{missed} of {len(found)} rounds had no fault")
    stalled = sum(bool(_stalls(measures, each)) for each in found)
    if stalled > STALLED_SHARE * len(found):
        yield unknown(ROUNDS, f"in {stalled} of {len(found)} rounds the harness stood still")


def _judge(measures: Measures, each: Round) -> Finding:
    what = "; ".join(each.faults) or "no fault"
    doubt = _doubt(measures, each)
    if each.failed and not doubt:
        return invalid(ROUNDS, f"on a whole cluster it failed: {each.failed}", each.subject)
    if each.failed:
        return unknown(ROUNDS, f"it failed: {each.failed}; but {doubt}", each.subject)
    if not each.faults and not each.missing:
        return _without_a_fault(each)
    if each.converged_ns is None:
        return unknown(ROUNDS, f"{what}: cut off before the cluster was whole again", each.subject)
    if each.missing:
        return invalid(ROUNDS, f"{what}: not whole again: {each.missing}", each.subject)
    return _judge_service(measures, each, what, each.converged_ns)


def _without_a_fault(each: Round) -> Finding:
    if each.missed:
        return valid(ROUNDS, f"not done, it showed nothing: {each.missed}", each.subject)
    return unknown(ROUNDS, "its fault was not proved to have hit", each.subject)


def _judge_service(measures: Measures, each: Round, what: str, converged_ns: int) -> Finding:
    """Of a round that ended as it should: was every outage as short as is promised?"""
    subject = each.subject
    whole = (converged_ns - (each.undone_ns or converged_ns)) / 1e9
    downs = [_longest(stream, each) for stream in measures.streams]
    seconds, stream = max(downs, key=lambda down: down[0], default=(0.0, None))
    text = f"{what}: " + (
        f"longest outage {seconds:.1f} s ({stream.config.name})"
        if stream and seconds
        else "no outage"
    )
    over = [(s, st) for s, st in downs if s > st.config.promise.rto]
    if over:
        text = f"{text}, allowed {over[0][1].config.promise.rto:g} s"
        if doubt := _doubt(measures, each):
            return unknown(ROUNDS, f"{text}; but {doubt}", subject)
        return invalid(ROUNDS, text, subject)
    stalls = _stalls(measures, each)
    still = f"; the harness stood still for {max(stalls):.1f} s" if stalls else ""
    return valid(ROUNDS, f"{text}; whole {whole:.1f} s after the undo{still}", subject)


def _doubt(measures: Measures, each: Round) -> str:
    """As `Measures.doubt`, but a stall excuses the round that it was in alone."""
    return measures.overloaded or ("the harness stalled" if _stalls(measures, each) else "")


def _stalls(measures: Measures, each: Round) -> tuple[float, ...]:
    """Seconds of each stall that was in the round, or reached into it."""
    return tuple(
        stall.seconds
        for stall in measures.stalls
        if stall.until_ns >= each.began_ns
        and (each.until_ns is None or stall.from_ns < each.until_ns)
    )


def _longest(stream: StreamMeasures, each: Round) -> tuple[float, StreamMeasures]:
    """Seconds of the stream's longest outage that began in the round."""
    end = stream.until_ns if each.until_ns is None else each.until_ns
    lengths = (
        _seconds(outage, stream.until_ns)
        for outage in stream.outages
        if each.began_ns <= outage.start_ns < end
    )
    return max(lengths, default=0.0), stream


def _seconds(outage: Outage, until_ns: int) -> float:
    return ((until_ns if outage.end_ns is None else outage.end_ns) - outage.start_ns) / 1e9
