"""Did the monitoring tell of the fault: which alert, after how many seconds, and did it clear?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.drill.measures import Measures
from cluster.drill.timeline import AlertChange, Injection, Timeline
from cluster.drill.verdict import Finding, invalid, unknown, valid

ALERTS = "alerts"


@dataclass(frozen=True)
class Detection:
    """An alert that the fault should fire; seconds.

    `fired` counts from the first fault's proof, `allowed` from the last one's, `cleared` from the
    undo; None where it did not. `in_place` is how long all of the fault was there.
    """

    alert: str
    allowed: float
    before: bool  # it fired already when the fault came
    fired: float | None
    late: bool
    in_place: float | None
    cleared: float | None


def detections(timeline: Timeline) -> tuple[Detection, ...]:
    """What became of each alert that was expected, in the order in which they fired."""
    if not timeline.injections:
        return ()
    found = [_detection(timeline, name, allowed) for name, allowed in timeline.alerts.items()]
    return tuple(sorted(found, key=lambda each: (each.fired is None, each.fired, each.alert)))


def _detection(timeline: Timeline, name: str, allowed: float) -> Detection:
    first, last = timeline.injections[0], timeline.injections[-1]
    changes = [change for change in timeline.alert_changes if change.alert == name]
    before = _fires_at(changes, first.began_ns)
    fired = next((each.ns for each in changes if each.firing and each.ns >= first.began_ns), None)
    undone = _undone(timeline.injections)
    cleared = _cleared(changes, fired, undone)
    return Detection(
        alert=name,
        allowed=allowed,
        before=before,
        fired=None if fired is None else max(0.0, (fired - first.at_ns) / 1e9),
        late=fired is not None and (fired - last.at_ns) / 1e9 > allowed,
        in_place=None if last.undoing_ns is None else (last.undoing_ns - last.at_ns) / 1e9,
        cleared=None if cleared is None or undone is None else (cleared - undone) / 1e9,
    )


def _fires_at(changes: Sequence[AlertChange], ns: int) -> bool:
    earlier = [each.firing for each in changes if each.ns < ns]
    return bool(earlier) and earlier[-1]


def _cleared(changes: Sequence[AlertChange], fired: int | None, undone: int | None) -> int | None:
    """When it ended for good; None where it fires still, or never fired."""
    if fired is None or undone is None or changes[-1].firing:
        return None
    return max(changes[-1].ns, undone)


def _undone(injections: Sequence[Injection]) -> int | None:
    times = [each.undone_ns for each in injections]
    return None if None in times else max(each for each in times if each is not None)


def alerts_seen(measures: Measures) -> Iterator[Finding]:
    """A finding an expected alert; nothing where no monitoring was up."""
    for each in detections(measures.run.timeline):
        yield _judge(each, measures.doubt)


def _judge(each: Detection, doubt: str) -> Finding:
    if each.before:
        return unknown(ALERTS, "fired already when the fault came", each.alert)
    if each.fired is None and (each.in_place or 0.0) < each.allowed:
        there = f"the fault was there for {each.in_place or 0.0:.1f} s"
        text = f"did not fire: {there}, and it may take {each.allowed:g} s"
        return valid(ALERTS, text, each.alert)
    broken = each.fired is None or each.late or each.cleared is None
    text = _told(each)
    if not broken:
        return valid(ALERTS, text, each.alert)
    if doubt:
        return unknown(ALERTS, f"{text}; but {doubt}", each.alert)
    return invalid(ALERTS, text, each.alert)


def _told(each: Detection) -> str:
    if each.fired is None:
        return (
            f"did not fire in {each.in_place or 0.0:.1f} s of the fault, allowed {each.allowed:g} s"
        )
    end = (
        "it did not clear" if each.cleared is None else f"clear {each.cleared:.1f} s after the undo"
    )
    return f"fired {each.fired:.1f} s after the fault (allowed {each.allowed:g} s), {end}"
