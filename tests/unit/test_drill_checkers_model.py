"""Runs made up at random, written by the real writers, judged, and judged again by the model."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.drill.checkers.leadership import split_brains
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
    Happening,
    Injected,
    Injecting,
    LoadBegan,
    LoadStopped,
    Observed,
    Stall,
    Undoing,
    Undone,
)
from cluster.drill.evidence import (
    EVENTS,
    LEDGER,
    Rules,
    RunConfig,
    StreamConfig,
    load_run,
    write_config,
    write_read_back,
)
from cluster.drill.judge import judge
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.outcome import Outcome
from tests.unit import drill_model as model
from tests.unit.drill_model import Break, Flow, Look, Op, Story
from tests.unit.drill_model_verdict import findings

TICK = 100_000_000
ZERO = 1000
BEGAN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RULES = Rules(
    window=model.WINDOW / 10,
    percent=model.PERCENT,
    touched_window=model.TOUCHED_WINDOW / 10,
    touched_percent=model.TOUCHED_PERCENT,
    before=model.BEFORE / 10,
    acks_before=model.ACKS_BEFORE,
    stall=model.STALL / 10,
)
NODES = ("a1", "a2", "a3")


def ns(tick: int) -> int:
    return (ZERO + tick) * TICK


# Stories.

FAILURES = [Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNSENT, None]
DELAYS = st.tuples(st.integers(0, 4), st.integers(0, 4))


@st.composite
def ops(draw: st.DrawFn, step: int) -> tuple[Op, ...]:
    """Long good times with short bad ones, and now and then an operation of any kind."""
    found: list[Op] = []
    for _ in range(draw(st.integers(0, 5))):
        outcome = draw(st.sampled_from([Outcome.ACKED] * 3 + FAILURES))
        wait, took = draw(DELAYS) if draw(st.booleans()) else (0, 0)
        for _ in range(draw(st.integers(1, 25))):
            found.append(_op(len(found) * step, outcome, wait, took))
    for _ in range(draw(st.integers(0, 3)) if found else 0):
        place = draw(st.integers(0, len(found) - 1))
        outcome = draw(st.sampled_from([Outcome.ACKED, *FAILURES]))
        found[place] = _op(place * step, outcome, *draw(DELAYS), draw(st.integers(0, 3)))
    return tuple(found)


def _op(due: int, outcome: Outcome | None, wait: int, took: int, retries: int = 0) -> Op:
    if outcome is None:
        return Op(due, None)
    sent = 0 if outcome is Outcome.UNSENT else due + wait
    return Op(due, outcome, sent, due + wait + took, retries)


PROMISES = st.builds(
    Promise,
    availability=st.sampled_from([*Availability] + [Availability.RESTORED] * 2),
    rto=st.sampled_from([0.5, 1.0, 1.3, 2.5, 60.0]),
    rpo=st.sampled_from([0.0, 0.0, 0.7, 2.0]),
    election=st.sampled_from([None, 0.3, 5.0]),
    must_lose=st.booleans(),
    refuses=st.booleans(),
    flawless=st.booleans(),
)


@st.composite
def flows(draw: st.DrawFn, number: int) -> Flow:
    step = draw(st.sampled_from([1, 1, 2]))
    made = draw(ops(step))
    rows: list[tuple[int, int]] | None = None
    if draw(st.integers(0, 9)):
        kept = {Outcome.ACKED, Outcome.UNKNOWN} if draw(st.booleans()) else {Outcome.ACKED}
        rows = [(number, n) for n, op in enumerate(made) if op.outcome in kept]
        if rows:
            for row in draw(st.lists(st.sampled_from(rows), max_size=3, unique=True)):
                rows.remove(row)
        places = st.tuples(st.integers(1, 2), st.integers(0, len(made) + 1))
        rows = draw(st.permutations([*rows, *draw(st.lists(places, max_size=2))]))
    group = draw(st.sampled_from(["g", "g", "h"]))
    promise = draw(PROMISES)
    return Flow(number, group, step, promise, made, None if rows is None else tuple(rows))


@st.composite
def looks(draw: st.DrawFn, group: str) -> list[Look]:
    at = -2
    found = [Look(group, at, at, ("a1",), 1, detected=False, protected=draw(PROTECTED))]
    for _ in range(draw(st.integers(0, 8))):
        began = at + draw(st.integers(0, 10))
        at = began + draw(st.integers(0, 2))
        leaders = draw(st.sampled_from([(), ("a1",), ("a2",), ("a1", "a2"), NODES, ("a2", "a3")]))
        epoch = draw(st.sampled_from([1, 2, 2, 3, None]))
        found.append(Look(group, began, at, leaders, epoch, draw(st.booleans()), draw(PROTECTED)))
    return found[draw(st.sampled_from([0, 0, 0, 1])) :]


PROTECTED = st.sampled_from([None, True, False, False])


@st.composite
def faults(draw: st.DrawFn) -> Iterator[Break]:
    began = draw(st.integers(0, 40))
    at = began + draw(st.integers(0, 2))
    undoing = draw(st.none() | st.integers(at, at + 40))
    undone = None if undoing is None else draw(st.none() | st.integers(undoing, undoing + 10))
    return Break(began, at, undoing, undone)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    two = draw(st.booleans())
    broken = sorted(draw(st.lists(faults(), max_size=2)), key=lambda fault: fault.at)
    return Story(
        group=draw(st.sampled_from(["g", "g", "h"])),
        effect=draw(st.sampled_from(Effect)),
        flows=tuple(draw(flows(number)) for number in ((1, 2) if two else (1,))),
        looks=(*draw(looks("g")), *(draw(looks("h")) if draw(st.booleans()) else [])),
        faults=tuple(broken),
        stalls=tuple(draw(st.lists(st.sampled_from([3, 10, 11, 20]), max_size=2))),
        stopped=draw(st.sampled_from([True, True, True, False])),
    )


# A story as a run leaves it behind.


def write(story: Story, folder: Path) -> None:
    write_config(folder, _config(story))
    _write_ledger(story, folder / LEDGER)
    for flow in story.flows:
        if flow.read is not None:
            read = np.array([op_id(*row) for row in flow.read], np.int64)
            write_read_back(folder, flow.number, [read[:3], read[3:]])
    log = EventLog(folder / EVENTS, lambda: ns(0), BEGAN, lambda _: None)
    for at, what in _events(story):
        log.add(what, ns(at))
    log.close()


def _write_ledger(story: Story, path: Path) -> None:
    """The streams' records among each other, as they came."""
    rows = []
    for flow in story.flows:
        for sequence, op in enumerate(flow.ops):
            key, intended = op_id(flow.number, sequence), ns(op.due - 20)
            rows.append(Row(key, ns(op.due), intended, INTENT))
            if op.outcome is not None:
                sent = 0 if op.outcome is Outcome.UNSENT else ns(op.sent)
                reason = 0 if op.acked else 1
                rows.append(Row(key, sent, ns(op.done), op.outcome, 0, reason, op.retries))
    ledger = LedgerWriter(path, "0123abcd")
    ledger.append(*sorted(rows, key=lambda row: row.second))
    ledger.close()


def _config(story: Story) -> RunConfig:
    return RunConfig(
        run="0123abcd",
        drill="made-up",
        hypothesis="the checkers are right",
        began=BEGAN,
        tool="0.1.0",
        seed=1,
        phase_offset=0,
        group=story.group,
        effect=story.effect,
        timings=Timings(),
        prediction=Prediction(),
        streams=tuple(
            StreamConfig(
                number=flow.number,
                name=str(flow.number),
                group=flow.group,
                rate=10 / flow.step,
                workers=1,
                good_within=model.GOOD_WITHIN / 10,
                write_within=5,
                promise=flow.promise,
            )
            for flow in story.flows
        ),
        rules=RULES,
    )


def _events(story: Story) -> Iterator[tuple[int, Happening]]:
    yield 0, LoadBegan(at_ns=ns(0))
    for look in story.looks:
        seen = Observation(look.leaders, look.epoch, look.detected, look.protected)
        yield look.ended, Observed(group=look.group, began_ns=ns(look.began), observation=seen)
    for number, fault in enumerate(story.faults):
        about = {"entry": str(number), "fault": f"fault {number}"}
        yield fault.began, Injecting(**about, undo=UndoRecord("start", ("a1",)))
        yield (
            fault.at,
            Injected(**about, began_ns=ns(fault.began), at_ns=ns(fault.at), proof="gone"),
        )
        if fault.undoing is not None:
            yield fault.undoing, Undoing(**about)
        if fault.undone is not None:
            yield fault.undone, Undone(**about)
    for ticks in story.stalls:
        yield 30, Stall(source="ticker", seconds=ticks / 10)
    if story.stopped:
        yield 100, LoadStopped(until_ns=ns(100))


# The test.


@pytest.fixture(scope="module", autouse=True)
def _in_small_pieces_without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        patch.setattr("os.fdatasync", lambda _: None)
        # Small pieces, so that every border between two of them is met.
        patch.setattr("cluster.drill.ledger.CHUNK", 16)
        patch.setattr("cluster.drill.checkers.availability.BLOCK", 8)
        yield


def tick(at_ns: int | None) -> int | None:
    return None if at_ns is None else at_ns // TICK - ZERO


def ids(rows: list[tuple[int, int]]) -> list[int]:
    return [op_id(*row) for row in rows]


@settings(max_examples=400, deadline=None)
@given(stories())
def test_the_judge_says_what_the_model_says(story: Story) -> None:
    with TemporaryDirectory() as name:
        write(story, Path(name))
        measures = Measures(load_run(Path(name)))
        said = Counter((f.check, f.subject, f.validity.value) for f in judge(measures).findings)
        assert said == Counter(findings(story))
        assert tick(measures.elected_ns) == model.elected(story)
        assert tick(measures.detected_ns) == model.detected(story)
        for group in ("g", "h"):
            seen = split_brains(measures.samples(group))
            found = [(tick(one.at_ns), one.leaders, one.confirmed) for one in seen]
            assert found == model.sightings(story.seen(group))
        for stream, flow in zip(measures.streams, story.flows, strict=True):
            same_numbers(story, flow, stream)


def same_numbers(story: Story, flow: Flow, stream: StreamMeasures) -> None:
    assert tick(stream.first_success_ns) == model.first_success(story, flow)
    assert tick(stream.sustained_ns) == model.sustained(story, flow)
    down = [(tick(outage.start_ns), tick(outage.end_ns)) for outage in stream.outages]
    assert down == model.outages(story, flow)
    assert stream.acked_in_vain == model.acked_in_vain(story, flow)
    if story.fault:
        assert stream.before_fault == model.baseline(story, flow)
    counts, outcomes = stream.counts, Counter(op.outcome for op in flow.ops)
    assert counts.acked == outcomes[Outcome.ACKED]
    assert counts.failed == outcomes[Outcome.FAILED]
    assert counts.unknown == outcomes[Outcome.UNKNOWN] + outcomes[None]
    assert counts.unsent == outcomes[Outcome.UNSENT]
    assert stream.retries == sum(op.retries for op in flow.ops)
    assert sum(stream.errors.values()) == len(flow.ops) - counts.acked - outcomes[None]
    assert stream.exposure.acked == len(model.unprotected_acks(story, flow))
    assert stream.exposure.seconds == pytest.approx(model.unprotected_ticks(story, flow) / 10)
    if flow.read is None:
        assert stream.sets is None
        assert stream.loss is None
        return
    assert stream.sets
    assert stream.loss
    found = model.defects(flow)
    for kind in ("lost", "phantom", "duplicate", "resurrected"):
        assert getattr(stream.sets, kind).tolist() == ids(found[kind])
    assert stream.sets.recovered == len(found["recovered"])
    assert stream.sets.read == len(flow.read)
    acks = model.lost_acks(flow)
    assert stream.loss.count == len(acks)
    assert stream.loss.seconds == pytest.approx(model.rpo(story, flow) / 10)
    assert stream.loss.unprotected == sum(model.unprotected(story, flow, ack) for ack in acks)
