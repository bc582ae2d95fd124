"""The judge once more, slow and obvious: what every checker should say of a story."""

from collections.abc import Iterator

from cluster.drill.contracts import Availability
from cluster.drill.outcome import Outcome
from tests.unit.drill_model import (
    ACKS_BEFORE,
    STALL,
    WINDOW,
    Down,
    Flow,
    Story,
    acked_in_vain,
    baseline,
    defects,
    elected,
    had_effect,
    lost_acks,
    origin,
    outages,
    rpo,
    sightings,
    split_at_origin,
    sustained,
    unprotected,
)

Said = tuple[str, str, str]  # check, subject, validity


def findings(story: Story) -> Iterator[Said]:
    """Everything that the judge should say, its words aside."""
    yield "ledger", "", "valid"
    if not story.stopped:
        yield "course", "", "unknown"
    yield from _faults(story)
    for flow in story.flows:
        yield from _of_flow(story, flow)
    yield from _election(story)
    yield from _split_brain(story)
    long = [ticks for ticks in story.stalls if ticks > STALL]
    for _ in long:
        yield "harness", "", "unknown"
    if not long:
        yield "harness", "", "valid"


def _faults(story: Story) -> Iterator[Said]:
    for fault in story.faults:
        yield "fault", "", "valid"
        if fault.undone is None:
            yield "undo", "", "unknown"
    if story.fault:
        yield "effect", story.group, "valid" if had_effect(story) else "unknown"
    else:
        yield "fault", "", "unknown"


def _split_brain(story: Story) -> Iterator[Said]:
    for group in {flow.group for flow in story.flows} | {look.group for look in story.looks}:
        seen = sightings(story.seen(group))
        for _, _, confirmed in seen:
            yield "split brain", group, "invalid" if confirmed else "unknown"
        if not seen:
            yield "split brain", group, "valid" if story.seen(group) else "unknown"


def _of_flow(story: Story, flow: Flow) -> Iterator[Said]:
    name = str(flow.number)
    if story.fault:
        intended, good = baseline(story, flow)
        enough = good >= ACKS_BEFORE and 2 * good >= intended
        yield "baseline", name, "valid" if enough else "unknown"
    yield "loss", name, _loss(story, flow)
    if flow.read:
        kinds = [kind for kind in ("phantom", "duplicate", "resurrected") if defects(flow)[kind]]
        for kind in kinds:
            yield kind, name, "invalid"
        if not kinds:
            yield "strangers", name, "valid"
    yield from _availability(story, flow)
    must = flow.promise.refuses or flow.promise.availability is Availability.REFUSED
    if story.fault and must:
        yield "refusal", name, "invalid" if acked_in_vain(story, flow) else "valid"
    if flow.promise.flawless:
        yield "errors", name, _errors(story, flow)


def _loss(story: Story, flow: Flow) -> str:
    if not flow.read or not any(op.acked for op in flow.ops):
        return "unknown"
    acks, promise = lost_acks(flow), flow.promise
    if not acks:
        return "invalid" if promise.must_lose else "valid"
    if promise.rpo:
        return "valid" if rpo(story, flow) <= 10 * promise.rpo else "invalid"
    if promise.must_lose:
        return "valid"
    return "unknown" if all(unprotected(story, flow, ack) for ack in acks) else "invalid"


def _availability(story: Story, flow: Flow) -> Iterator[Said]:
    promise, name = flow.promise, str(flow.number)
    if not story.fault or promise.availability in {Availability.REFUSED, Availability.UNJUDGED}:
        return
    since, limit = origin(story, flow), 10 * promise.rto
    if since is None:
        yield "availability", name, "unknown"
        return
    broken = "unknown" if story.stalled else "invalid"
    if promise.availability is Availability.UNTOUCHED:
        yield _worst(flow, outages(story, flow), broken) or ("outage", name, "valid")
        return
    back = sustained(story, flow)
    if back is None:
        too_late = flow.until - WINDOW - since > limit
        yield "RTO", name, broken if too_late else "unknown"
    elif back - since > limit:
        yield "RTO", name, broken
    else:
        _, relapses = split_at_origin(story, flow)
        yield _worst(flow, relapses, broken) or ("RTO", name, "valid")


def _worst(flow: Flow, found: list[Down], broken: str) -> Said | None:
    lengths = [(flow.until if end is None else end) - start for start, end in found]
    if any(length > 10 * flow.promise.rto for length in lengths):
        return "outage", str(flow.number), broken
    if found and found[-1][1] is None:
        return "outage", str(flow.number), "unknown"
    return None


def _errors(story: Story, flow: Flow) -> str:
    excused = {None, Outcome.UNSENT} if story.stalled else {None}
    bad = [op.outcome for op in flow.ops if not op.acked]
    if not bad:
        return "valid" if flow.ops else "unknown"
    return "unknown" if all(outcome in excused for outcome in bad) else "invalid"


def _election(story: Story) -> Iterator[Said]:
    limits = [
        flow.promise.election
        for flow in story.flows
        if flow.group == story.group and flow.promise.election is not None
    ]
    if not limits or not story.fault:
        return
    voted = elected(story)
    if voted is None:
        yield "election", story.group, "unknown"
    elif max(0, voted - story.fault.at) <= 10 * min(limits):
        yield "election", story.group, "valid"
    else:
        yield "election", story.group, "unknown" if story.stalled else "invalid"
