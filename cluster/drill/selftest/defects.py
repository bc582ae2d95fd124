"""The defects: each planted into a copy of a run, with the one finding that it must raise."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cluster.drill.checkers.rounds import ROUNDS
from cluster.drill.contracts import Effect
from cluster.drill.eventlog import read_events
from cluster.drill.events import (
    AlertsWatched,
    Converged,
    Injected,
    LoadBegan,
    LoadStopped,
    Observed,
    Settings,
    Stall,
    Undone,
)
from cluster.drill.evidence import EVENTS
from cluster.drill.ledger import op_id
from cluster.drill.outcome import Outcome
from cluster.drill.selftest import choose
from cluster.drill.selftest.choose import NotPlantable
from cluster.drill.selftest.copy import Copy
from cluster.drill.verdict import Validity

SECOND = 1_000_000_000
TIMES = ("RTO", "outage", "election", "availability")


@dataclass(frozen=True)
class Defect:
    """`plant` returns whom the finding must be about ("": the run), or raises NotPlantable.

    No other finding may appear, but of the checks in `follows`; and of the engine's own, as long
    as what cannot be said stays so.
    """

    name: str
    check: str
    validity: Validity
    plant: Callable[[Copy], str]
    follows: tuple[str, ...] = ()


def lost(copy: Copy) -> str:
    """An acknowledged write is not read."""
    stream = choose.stream(copy.measures, choose.promises_all, "has promised to lose nothing")
    rows = choose.read(stream)
    copy.change_read(stream, rows[rows != choose.kept_ack(stream)])
    return stream.config.name


def duplicate(copy: Copy) -> str:
    """A row is there twice."""
    stream = copy.measures.streams[0]
    copy.change_read(stream, np.append(choose.read(stream), choose.kept_ack(stream)))
    return stream.config.name


def phantom(copy: Copy) -> str:
    """A row is there that nobody wrote."""
    stream = copy.measures.streams[0]
    never = np.int64(op_id(stream.config.number, len(stream.history)))
    copy.change_read(stream, np.append(choose.read(stream), never))
    return stream.config.name


def resurrected(copy: Copy) -> str:
    """A write is there that provably failed."""
    failed = (Outcome.FAILED, Outcome.UNSENT)
    stream = choose.stream(
        copy.measures, lambda each: bool(each.history.having(*failed).any()), "has a failed write"
    )
    op = choose.having(stream, stream.history.having(*failed))[0]
    copy.change_read(stream, np.append(choose.read(stream), op))
    return stream.config.name


def hidden(copy: Copy) -> str:
    """A loss is hidden: everything acknowledged is called unknown."""
    stream = choose.stream(copy.measures, choose.promises_all, "has promised to lose nothing")
    choose.read(stream)
    copy.settle(choose.having(stream, stream.history.having(Outcome.ACKED)), Outcome.UNKNOWN)
    return stream.config.name


def nothing_read(copy: Copy) -> str:
    """The read-back is empty."""
    stream = copy.measures.streams[0]
    copy.change_read(stream, choose.read(stream)[:0])
    return stream.config.name


def not_read(copy: Copy) -> str:
    """The read-back is missing."""
    stream = copy.measures.streams[0]
    choose.read(stream)
    copy.remove_read(stream)
    return stream.config.name


def lossless_control(copy: Copy) -> str:
    """A control has lost nothing."""
    stream = choose.stream(copy.measures, choose.control_that_lost, "is a control that lost")
    acked = choose.having(stream, stream.history.having(Outcome.ACKED))
    copy.change_read(stream, np.union1d(choose.read(stream), acked))
    return stream.config.name


def few_acks(copy: Copy) -> str:
    """There was no service that the fault could have hurt."""
    stream = copy.measures.streams[0]
    began = choose.fault(copy.measures).began_ns
    rules = copy.measures.run.config.rules
    since = began - round((rules.before + stream.config.good_within) * SECOND)
    copy.settle(choose.having(stream, choose.due_between(stream, since, began)), Outcome.UNKNOWN)
    return stream.config.name


def late(copy: Copy) -> str:
    """Service is back a second later than promised; less is promised where the load is short."""
    stream = choose.stream(copy.measures, choose.must_recover, "has promised to be restored")
    at, window = choose.fault(copy.measures).at_ns, copy.measures.run.config.rules.steady.window_ns
    rest, true = (stream.until_ns - at - window) / SECOND, stream.since_origin(stream.sustained_ns)
    if true is None or rest < true + 2:
        raise NotPlantable(f"{stream.config.name}: the load ended too soon after the fault")
    limit = min(stream.config.promise.rto, (rest - true) / 2 + true - 1)
    copy.change_promise(stream, replace(stream.config.promise, rto=limit))
    down = choose.due_between(stream, at, at + round((max(limit, true) + 1) * SECOND))
    copy.settle(choose.having(stream, down), Outcome.UNKNOWN)
    return stream.config.name


def touched(copy: Copy) -> str:
    """A stream is down that the fault must not touch."""
    stream = choose.stream(copy.measures, choose.untouched, "stayed untouched as it must")
    since = choose.fault(copy.measures).at_ns + SECOND
    until = since + round((stream.config.promise.rto + 2) * SECOND)
    if until > stream.until_ns:
        raise NotPlantable("the load ended too soon after the fault")
    down = choose.due_between(stream, since, until)
    copy.settle(choose.having(stream, down), Outcome.UNKNOWN)
    return stream.config.name


def accepted(copy: Copy) -> str:
    """A write is acknowledged that should have been refused."""
    stream = choose.stream(copy.measures, choose.must_refuse, "must be refused")
    at, history = choose.fault(copy.measures).at_ns, stream.history
    end = copy.measures.undoing_ns or stream.until_ns
    sent = (history.sent >= at) & (history.sent < end) & ~history.having(Outcome.ACKED)
    if not sent.any():
        raise NotPlantable(f"{stream.config.name}: nothing was sent during the fault")
    op = choose.having(stream, sent)[:1]
    copy.settle(op, Outcome.ACKED)
    copy.change_read(stream, np.union1d(choose.read(stream), op))
    return stream.config.name


def error(copy: Copy) -> str:
    """A client sees an error that none should see."""
    stream = choose.stream(
        copy.measures, lambda each: each.config.promise.flawless, "must be flawless"
    )
    op = choose.kept_ack(stream)
    copy.settle(np.array([op]), Outcome.FAILED)
    rows = choose.read(stream)
    copy.change_read(stream, rows[rows != op])
    return stream.config.name


def slow_election(copy: Copy) -> str:
    """The election took longer than promised."""
    config = copy.measures.run.config
    stream = choose.stream(
        copy.measures, lambda each: each.config.group == config.group, "is of the fault's group"
    )
    seconds = copy.measures.since_fault(copy.measures.elected_ns)
    if not seconds:
        raise NotPlantable("no election was seen")
    copy.change_promise(stream, replace(stream.config.promise, election=seconds / 2))
    return config.group


def two_primaries(copy: Copy) -> str:
    """Two nodes are writable in two samples running."""
    return _two_primaries(copy, samples=2)


def two_primaries_once(copy: Copy) -> str:
    """Two nodes are writable in one sample."""
    return _two_primaries(copy, samples=1)


def _two_primaries(copy: Copy, samples: int) -> str:
    """Before the fault, and the true state after it again, so that nothing else changes."""
    group, began = copy.measures.run.config.group, choose.fault(copy.measures).began_ns
    for event in read_events(copy.folder / EVENTS):
        seen = event.what
        if isinstance(seen, Observed) and seen.group == group and event.ns + samples < began:
            leaders = (*seen.observation.leaders, "planted-1", "planted-2")[:2]
            both = seen.model_copy(
                update={"observation": replace(seen.observation, leaders=leaders)}
            )
            for turn in range(samples + 1, 0, -1):  # each goes in right after the true one
                what = both if turn <= samples else seen
                copy.add_event(event, what.model_copy(update={"began_ns": event.ns}), turn)
            return group
    raise NotPlantable("the group was not seen before the fault")


def no_effect(copy: Copy) -> str:
    """Nobody saw another leader after the fault."""
    config = copy.measures.run.config
    if config.effect is not Effect.NEW_LEADER or copy.measures.elected_ns is None:
        raise NotPlantable("the fault has not changed the leader")
    copy.drop_events(Observed, choose.fault(copy.measures).began_ns)
    return config.group


def unproved(copy: Copy) -> str:
    """The fault left no proof."""
    choose.fault(copy.measures)
    copy.drop_events(Injected)
    return ""


def not_undone(copy: Copy) -> str:
    """The fault was never undone."""
    choose.event(read_events(copy.folder / EVENTS), Undone, "fault that was undone")
    copy.drop_events(Undone)
    return ""


def not_whole(copy: Copy) -> str:
    """The cluster did not converge."""
    events = read_events(copy.folder / EVENTS)
    end = choose.event(events, LoadBegan, "load")
    copy.drop_events(Converged)
    copy.add_event(end, Converged(missing="planted-1 is not a standby"))
    return ""


def torn(copy: Copy) -> str:
    """A record of the ledger is torn in its middle."""
    if not any(len(stream.history) for stream in copy.measures.streams):
        raise NotPlantable("the ledger is empty")
    copy.damage_ledger()
    return ""


def other_settings(copy: Copy) -> str:
    """A setting that the promise rests on changed under the fault."""
    events = read_events(copy.folder / EVENTS)
    for event in events:
        if isinstance(event.what, Settings) and event.what.when == "before" and event.what.values:
            values = {**event.what.values, next(iter(event.what.values)): "planted"}
            copy.add_event(event, Settings(when="during", values=values))
            return ""
    raise NotPlantable("no setting was read before the fault")


def stalled(copy: Copy) -> str:
    """The harness stood still."""
    if ROUNDS in copy.measures.run.config.checks:
        raise NotPlantable("in a soak a stall is its round's")
    least = copy.measures.run.config.rules.stall
    began = choose.event(read_events(copy.folder / EVENTS), LoadBegan, "load")
    copy.add_event(began, Stall(source="planted", seconds=least + 0.4))
    return ""


def cut_off(copy: Copy) -> str:
    """The run ended before its load did."""
    choose.event(read_events(copy.folder / EVENTS), LoadStopped, "end of the load")
    copy.drop_events(LoadStopped)
    return ""


def silent_alert(copy: Copy) -> str:
    """An alert did not fire, though the fault was there for twice the time that it may take."""
    choose.fault(copy.measures)
    began = choose.event(read_events(copy.folder / EVENTS), LoadBegan, "load")
    timeline = copy.measures.run.timeline
    last = timeline.injections[-1]
    there = ((last.undoing_ns or last.at_ns) - last.at_ns) / SECOND
    if there <= 0:
        raise NotPlantable("the fault was over at once")
    expected = {**timeline.alerts, "Planted": there / 2}
    copy.drop_events(AlertsWatched)
    copy.add_event(began, AlertsWatched(expected=expected))
    return "Planted"


INVALID, UNKNOWN = Validity.INVALID, Validity.UNKNOWN
DEFECTS = (
    Defect("an acknowledged write is lost", "loss", INVALID, lost),
    Defect("a write is applied twice", "duplicate", INVALID, duplicate),
    Defect("a write that nobody made", "phantom", INVALID, phantom),
    Defect("a failed write is there all the same", "resurrected", INVALID, resurrected),
    Defect("every ack is called unknown", "loss", UNKNOWN, hidden, (*TIMES, "baseline", "errors")),
    Defect("nothing is read back", "loss", UNKNOWN, nothing_read),
    Defect("the read-back is missing", "loss", UNKNOWN, not_read),
    Defect("a control loses nothing", "loss", INVALID, lossless_control),
    Defect("no service before the fault", "baseline", UNKNOWN, few_acks, ("errors", "loss")),
    Defect("service is back too late", "RTO", INVALID, late, ("loss",)),
    Defect("an outage where there must be none", "outage", INVALID, touched, ("errors",)),
    Defect("an ack that must be refused", "refusal", INVALID, accepted, ("RTO", "outage")),
    Defect("an error where there must be none", "errors", INVALID, error, ("RTO", "outage")),
    Defect("an election that takes too long", "election", INVALID, slow_election),
    Defect("two primaries at once", "split brain", INVALID, two_primaries),
    Defect("two primaries in a single sample", "split brain", UNKNOWN, two_primaries_once),
    Defect("a fault without its effect", "effect", UNKNOWN, no_effect, TIMES),
    Defect("a fault without its proof", "fault", UNKNOWN, unproved, ("loss",)),
    Defect("a fault that is not undone", "undo", UNKNOWN, not_undone, TIMES),
    Defect("a cluster that does not converge", "convergence", INVALID, not_whole),
    Defect("an alert that stays silent", "alerts", INVALID, silent_alert),
    Defect("a torn record in the ledger", "ledger", UNKNOWN, torn),
    Defect("settings that change", "settings", UNKNOWN, other_settings),
    Defect("a harness that stands still", "harness", UNKNOWN, stalled, (*TIMES, "errors")),
    Defect("a run that is cut off", "course", UNKNOWN, cut_off),
)
