"""The checkers of one stream: what it lost, when it was down, whether it was refused."""

from collections.abc import Callable, Iterator

from cluster.drill.checkers.availability import Outage
from cluster.drill.contracts import Availability, OpIds
from cluster.drill.measures import StreamMeasures
from cluster.drill.verdict import Finding, invalid, unknown, valid

StreamCheck = Callable[[StreamMeasures], Iterator[Finding]]
SHOWN = 3  # ids in a message; all of them are in the summary


def steady_before(stream: StreamMeasures) -> Iterator[Finding]:
    """Was there enough service to lose?"""
    if stream.whole.fault is None:
        return
    name, rules = stream.config.name, stream.whole.run.config.rules
    intended, good = stream.before_fault
    text = f"{good} of {intended} operations acknowledged just before the fault"
    if good >= rules.acks_before and good * 2 >= intended:
        yield valid("baseline", text, name)
    else:
        yield unknown("baseline", f"only {text}", name)


def no_loss(stream: StreamMeasures) -> Iterator[Finding]:
    """RPO."""
    if stream.whole.run.timeline.load_began_ns is None:
        return
    name, sets, loss = stream.config.name, stream.sets, stream.loss
    if sets is None or loss is None:
        reading = stream.whole.run.timeline.read_back.get(name)
        why = f": {reading.error}" if reading and reading.error else ""
        yield unknown("loss", f"not read back{why}", name)
    elif not sets.read:
        yield unknown("loss", "nothing was read back", name)
    elif not stream.counts.acked:
        yield unknown("loss", "nothing was acknowledged", name)
    elif loss.count:
        yield _judge_loss(stream, sets.lost)
    elif stream.config.promise.must_lose:
        yield invalid(
            "loss", f"a control that lost none of {stream.counts.acked:,} acknowledged", name
        )
    else:
        yield valid("loss", f"none of {stream.counts.acked:,} acknowledged writes lost", name)


def _judge_loss(stream: StreamMeasures, lost: OpIds) -> Finding:
    loss, promise, name = stream.loss, stream.config.promise, stream.config.name
    assert loss is not None  # noqa: S101 - the caller has looked
    text = f"{loss.count:,} acknowledged writes lost, over {loss.seconds:.1f} s ({_few(lost)})"
    if promise.rpo > 0:
        within = loss.seconds <= promise.rpo
        message = f"{text}, promised at most {promise.rpo:g} s"
        return valid("loss", message, name) if within else invalid("loss", message, name)
    if promise.must_lose:
        return valid("loss", f"{text}, as a control must", name)
    if loss.unprotected == loss.count:
        message = f"{text}, all while no synchronous standby was attached: not promised"
        return unknown("loss", message, name)
    return invalid("loss", f"{text}, promised none", name)


def no_strangers(stream: StreamMeasures) -> Iterator[Finding]:
    """Nothing is there that should not be."""
    sets, name = stream.sets, stream.config.name
    if sets is None or not sets.read:
        return
    defects = (
        ("phantom", sets.phantom, "read that were never attempted"),
        ("duplicate", sets.duplicate, "applied more than once"),
        ("resurrected", sets.resurrected, "read although they provably did not execute"),
    )
    for check, ids, text in defects:
        if len(ids):
            yield invalid(check, f"{len(ids):,} writes {text} ({_few(ids)})", name)
    if not any(len(ids) for _, ids, _ in defects):
        message = (
            f"no phantom, duplicate or resurrected write; {sets.recovered:,} unknown were kept"
        )
        yield valid("strangers", message, name)


def in_time(stream: StreamMeasures) -> Iterator[Finding]:
    """RTO, or that there was no outage."""
    promise = stream.config.promise
    judged = promise.availability not in {Availability.REFUSED, Availability.UNJUDGED}
    if stream.whole.fault is None or not judged:
        return
    if stream.origin_ns is None:
        yield unknown("availability", "the fault was never undone", stream.config.name)
        return
    finding = (
        _untouched(stream)
        if promise.availability is Availability.UNTOUCHED
        else _restored(stream, stream.origin_ns)
    )
    if stream.whole.doubt and finding.validity == "invalid":
        message = f"{finding.message}; but {stream.whole.doubt}"
        finding = unknown(finding.check, message, finding.subject)
    yield finding


def _restored(stream: StreamMeasures, origin_ns: int) -> Finding:
    name, promise = stream.config.name, stream.config.promise
    sustained = stream.sustained_ns
    since = "undo" if promise.availability is Availability.RESTORED_AFTER_UNDO else "fault"
    if sustained is None:
        window = stream.whole.run.config.rules.steady.window_ns
        refuted = (stream.until_ns - window - origin_ns) / 1e9
        if refuted > promise.rto:
            return invalid("RTO", f"not restored within {promise.rto:g} s", name)
        load = max(0.0, (stream.until_ns - origin_ns) / 1e9)
        return unknown(
            "RTO", f"not restored when the load ended, {load:.1f} s after the {since}", name
        )
    seconds = (sustained - origin_ns) / 1e9
    text = f"restored {seconds:.1f} s after the {since}"
    if seconds > promise.rto:
        return invalid("RTO", f"{text}, promised {promise.rto:g} s", name)
    again = _longest(stream, stream.restoration.relapses)
    return again or valid("RTO", f"{text} (promised {promise.rto:g} s)", name)


def _untouched(stream: StreamMeasures) -> Finding:
    name, promise = stream.config.name, stream.config.promise
    broken = _longest(stream, stream.outages)
    return broken or valid("outage", f"none longer than {promise.rto:g} s", name)


def _longest(stream: StreamMeasures, found: tuple[Outage, ...]) -> Finding | None:
    """What is wrong with the longest of these outages; None if it is short enough, and over."""
    if not found:
        return None
    name, limit = stream.config.name, stream.config.promise.rto
    outage = max(found, key=lambda each: _seconds(stream, each))
    seconds = _seconds(stream, outage)
    if seconds > limit:
        return invalid("outage", f"down for {seconds:.1f} s, allowed {limit:g} s", name)
    if found[-1].end_ns is None:
        return unknown("outage", "down again when the load ended", name)
    return None


def _seconds(stream: StreamMeasures, outage: Outage) -> float:
    end = stream.until_ns if outage.end_ns is None else outage.end_ns
    return (end - outage.start_ns) / 1e9


def refused(stream: StreamMeasures) -> Iterator[Finding]:
    """Nothing that was sent while the fault was in place may be acknowledged."""
    promise, name = stream.config.promise, stream.config.name
    must = promise.refuses or promise.availability is Availability.REFUSED
    if stream.whole.fault is None or not must:
        return
    if stream.acked_in_vain:
        text = f"{stream.acked_in_vain:,} writes acknowledged while the fault was in place"
        yield invalid("refusal", text, name)
    else:
        yield valid("refusal", "nothing acknowledged while the fault was in place", name)


def flawless(stream: StreamMeasures) -> Iterator[Finding]:
    """No error may have reached the client, from the first operation to the last.

    What the harness itself is to blame for is excused, but is no pass: what it did not send while
    it stood still, and what it did not live, or find the room, to write down.
    """
    name, counts = stream.config.name, stream.counts
    if stream.whole.run.timeline.load_began_ns is None or not stream.config.promise.flawless:
        return
    intended = len(stream.history)
    bad = intended - counts.acked
    retries = f"the driver tried again {stream.retries:,} times"
    excused = stream.unrecorded + (counts.unsent if stream.whole.stalls else 0)
    if not intended:
        yield unknown("errors", "nothing was intended", name)
    elif not bad:
        yield valid("errors", f"none in {intended:,} operations; {retries}", name)
    elif bad > excused:
        text = f"{bad:,} of {intended:,} operations not acknowledged{_most_frequent(stream)}"
        yield invalid("errors", f"{text}; {retries}", name)
    else:
        text = f"{bad:,} of {intended:,} operations were not sent, or not written down"
        yield unknown("errors", f"{text}: the harness's own doing", name)


def _most_frequent(stream: StreamMeasures) -> str:
    reasons = sorted(stream.errors.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in reasons[:SHOWN])
    return f": {shown}{', …' if len(reasons) > SHOWN else ''}" if reasons else ""


def _few(ids: OpIds) -> str:
    shown = ", ".join(map(str, ids[:SHOWN].tolist()))
    return f"{shown}, …" if len(ids) > SHOWN else shown


CHECKS: dict[str, StreamCheck] = {
    "baseline": steady_before,
    "loss": no_loss,
    "strangers": no_strangers,
    "availability": in_time,
    "refusal": refused,
    "errors": flawless,
}
