"""What the observers' samples say: who led, since when, and whether two did."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.drill.contracts import Effect, Observation
from cluster.drill.timeline import Sample


@dataclass(frozen=True)
class SplitBrain:
    """More than one node led, at that time (monotonic ns).

    Members are asked one after another, so a single sighting may be a change of leader caught in
    the act; two sightings running, of the same nodes, are not.
    """

    at_ns: int
    leaders: tuple[str, ...]
    confirmed: bool


def split_brains(samples: Sequence[Sample]) -> tuple[SplitBrain, ...]:
    """Every sighting of two or more leaders, confirmed ones merged over their whole length."""
    found: list[SplitBrain] = []
    before: set[str] = set()
    for sample in samples:
        leaders = set(sample.observation.leaders)
        if len(leaders) > 1:
            if len(leaders & before) > 1:
                found[-1] = SplitBrain(found[-1].at_ns, tuple(sorted(leaders)), confirmed=True)
            else:
                found.append(SplitBrain(sample.ended_ns, tuple(sorted(leaders)), confirmed=False))
        before = leaders
    return tuple(found)


def seen_before(samples: Sequence[Sample], ns: int) -> Observation | None:
    """The state that the last sample before `ns` saw."""
    earlier = [sample.observation for sample in samples if sample.ended_ns <= ns]
    return earlier[-1] if earlier else None


def elected_ns(samples: Sequence[Sample], fault_ns: int) -> int | None:
    """When a node that did not lead before the fault was first seen to lead in a higher epoch."""
    before = seen_before(samples, fault_ns)
    if before is None or not before.leaders or before.epoch is None:
        return None
    for sample in samples:
        now = sample.observation
        if (
            sample.began_ns >= fault_ns
            and set(now.leaders) - set(before.leaders)
            and now.epoch is not None
            and now.epoch > before.epoch
        ):
            return sample.ended_ns
    return None


def detected_ns(samples: Sequence[Sample], fault_ns: int) -> int | None:
    """When some part of the cluster was first seen to know of the loss; at the latest, elected."""
    for sample in samples:
        if sample.began_ns >= fault_ns and sample.observation.detected_down:
            return sample.ended_ns
    return elected_ns(samples, fault_ns)


def effect_missing(samples: Sequence[Sample], fault_ns: int, effect: Effect) -> str:
    """Why the fault did not do what it had to do; "" if it did."""
    before = seen_before(samples, fault_ns)
    if effect is Effect.ANY:
        return ""
    if before is None or not before.leaders:
        return "nobody was seen to lead before the fault"
    if effect is Effect.NEW_LEADER:
        if elected_ns(samples, fault_ns) is None:
            return f"no other leader than {', '.join(before.leaders)} was seen in a higher epoch"
        return ""
    changed = {
        (sample.observation.leaders, sample.observation.epoch)
        for sample in samples
        if sample.began_ns >= fault_ns and sample.observation.leaders
    } - {(before.leaders, before.epoch)}
    if changed:
        leaders, epoch = sorted(changed, key=repr)[0]
        return f"{', '.join(leaders)} led in epoch {epoch}, where the leader should have stayed"
    return ""


@dataclass(frozen=True)
class Span:
    """From and until, monotonic ns."""

    from_ns: int
    until_ns: int


def unprotected(samples: Sequence[Sample], end_ns: int) -> tuple[Span, ...]:
    """When it is certain that no synchronous standby was attached.

    From the end of the first sample that saw none to the beginning of the next that saw one (or
    saw nothing); `end_ns` closes the last. What lies between samples is not certain.
    """
    spans = []
    since: int | None = None
    for sample in samples:
        if sample.observation.protected is False:
            since = sample.ended_ns if since is None else since
        elif since is not None:
            spans.append(Span(since, sample.began_ns))
            since = None
    if since is not None and since < end_ns:
        spans.append(Span(since, end_ns))
    return tuple(spans)
