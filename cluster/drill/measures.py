"""What a run's history amounts to, stream by stream; computed once, when first asked for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster.drill.checkers import availability, leadership, losses, sets
from cluster.drill.contracts import Availability
from cluster.drill.evidence import Run, StreamConfig
from cluster.drill.history import Flags, History, empty
from cluster.drill.outcome import Outcome
from cluster.drill.timeline import Injection, Sample, Stalled


@dataclass(frozen=True)
class Latency:
    """From due to acknowledged, seconds."""

    median: float
    p99: float
    longest: float


class Measures:
    """A run, and what follows from it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.streams = tuple(StreamMeasures(self, config) for config in run.config.streams)

    @cached_property
    def fault(self) -> Injection | None:
        """The first fault that hit: times count from it."""
        return next(iter(self.run.timeline.injections), None)

    def samples(self, group: str) -> tuple[Sample, ...]:
        """What was seen of a group."""
        return self.run.timeline.samples.get(group, ())

    @cached_property
    def detected_ns(self) -> int | None:
        """When the loss of the leader was first seen to be known."""
        samples = self.samples(self.run.config.group)
        return leadership.detected_ns(samples, self.fault.began_ns) if self.fault else None

    @cached_property
    def elected_ns(self) -> int | None:
        """When another leader was first seen."""
        samples = self.samples(self.run.config.group)
        return leadership.elected_ns(samples, self.fault.began_ns) if self.fault else None

    @cached_property
    def undoing_ns(self) -> int | None:
        """When the first undo began."""
        times = [i.undoing_ns for i in self.run.timeline.injections if i.undoing_ns is not None]
        return min(times, default=None)

    @cached_property
    def undone_ns(self) -> int | None:
        """When every fault that hit had been undone."""
        times = [injection.undone_ns for injection in self.run.timeline.injections]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    @cached_property
    def stalls(self) -> tuple[Stalled, ...]:
        """Those of the harness that are long enough to matter."""
        least = self.run.config.rules.stall
        return tuple(stall for stall in self.run.timeline.stalls if stall.seconds > least)

    @cached_property
    def doubt(self) -> str:
        """Why a broken promise about *time* may be the harness's or the machine's fault; "" if not.

        A promise that was kept all the same is kept.
        """
        return "the harness stalled" if self.stalls else self.overloaded

    @cached_property
    def overloaded(self) -> str:
        """That the machine was, and how much; "" if not."""
        if shares := self.run.timeline.overloads:
            return f"this machine was overloaded (up to {max(shares):.0%} of the time)"
        return ""

    def since_fault(self, ns: int | None) -> float | None:
        """Seconds from the proved injection; what came while it was being proved is 0."""
        if ns is None or self.fault is None:
            return None
        return max(0.0, (ns - self.fault.at_ns) / 1e9)


class StreamMeasures:
    """One stream of a run."""

    def __init__(self, measures: Measures, config: StreamConfig) -> None:
        self.whole = measures
        self.config = config

    @cached_property
    def history(self) -> History:
        """Its operations; none where nothing was intended, or the ledger is damaged."""
        ledger = self.whole.run.ledger
        number = self.config.number
        return (ledger.streams.get(number) if ledger else None) or empty(number)

    @cached_property
    def good(self) -> Flags:
        """Which operations were served in time."""
        return self.history.good(round(self.config.good_within * 1e9))

    @cached_property
    def counts(self) -> sets.Counts:
        """Its operations by outcome."""
        return sets.count(self.history)

    @cached_property
    def sets(self) -> sets.Sets | None:
        """Acknowledged against read; None where either is not known."""
        read, ledger = self.whole.run.read[self.config.number], self.whole.run.ledger
        if read is None or ledger is None or ledger.damage:
            return None
        return sets.compare(self.history, read)

    @cached_property
    def unprotected(self) -> tuple[leadership.Span, ...]:
        """When its group certainly had no synchronous standby attached."""
        samples = self.whole.samples(self.config.group)
        return leadership.unprotected(samples, self.until_ns)

    @cached_property
    def loss(self) -> losses.Loss | None:
        """RPO; None where the stream was not read back."""
        if self.sets is None:
            return None
        fault = self.whole.fault
        return losses.loss(
            self.history, self.sets.lost, fault.at_ns if fault else None, self.unprotected
        )

    @cached_property
    def exposure(self) -> losses.Exposure:
        """What was acknowledged without a synchronous standby."""
        return losses.exposure(self.history, self.unprotected)

    @cached_property
    def until_ns(self) -> int:
        """When the load ended: a period after the last operation was due; 0 without any."""
        due = self.history.due
        return int(due[-1]) + round(1e9 / self.config.rate) if len(due) else 0

    @cached_property
    def origin_ns(self) -> int | None:
        """When its time to recover begins: the injection, or the undo; None where there is none."""
        if self.config.promise.availability is Availability.RESTORED_AFTER_UNDO:
            return self.whole.undone_ns
        return self.whole.fault.at_ns if self.whole.fault else None

    def since_origin(self, ns: int | None) -> float | None:
        """Seconds from its origin."""
        if ns is None or self.origin_ns is None:
            return None
        return (ns - self.origin_ns) / 1e9

    @cached_property
    def outages(self) -> tuple[availability.Outage, ...]:
        """When it was down after its origin."""
        if self.origin_ns is None:
            return ()
        rules = self.whole.run.config.rules
        untouched = self.config.promise.availability is Availability.UNTOUCHED
        return availability.outages(
            self.history.due,
            self.good,
            self.origin_ns,
            self.until_ns,
            rules.untouched if untouched else rules.steady,
        )

    @cached_property
    def restoration(self) -> availability.Restoration:
        """When it was up for good."""
        if self.origin_ns is None:
            return availability.Restoration(None, ())
        hurt = self.config.group == self.whole.run.config.group
        elected = self.whole.elected_ns if hurt else None
        return availability.restoration(self.outages, self.origin_ns, elected)

    @cached_property
    def first_success_ns(self) -> int | None:
        """When an operation that was sent after the origin was first acknowledged."""
        if self.origin_ns is None:
            return None
        return availability.first_success_ns(self.history, self.origin_ns)

    @cached_property
    def sustained_ns(self) -> int | None:
        """When service was back for good: not before a client had its first answer."""
        sustained, first = self.restoration.sustained_ns, self.first_success_ns
        return sustained if sustained is None or first is None else max(sustained, first)

    @cached_property
    def acked_in_vain(self) -> int:
        """Acknowledgements of what was sent while the fault was in place."""
        fault, undoing = self.whole.fault, self.whole.undoing_ns
        if fault is None:
            return 0
        end = self.until_ns if undoing is None else undoing
        return availability.acked_between(self.history, fault.at_ns, end)

    @cached_property
    def before_fault(self) -> tuple[int, int]:
        """How many operations were due just before the fault, and how many of them were good."""
        fault = self.whole.fault
        if fault is None:
            return 0, 0
        # What was due in the last moments is the fault's: it was under way when that came.
        end = fault.began_ns - round(self.config.good_within * 1e9)
        start = end - round(self.whole.run.config.rules.before * 1e9)
        chosen = (self.history.due >= start) & (self.history.due < end)
        return int(np.count_nonzero(chosen)), int(np.count_nonzero(chosen & self.good))

    @cached_property
    def latency_before(self) -> Latency | None:
        """Of what was due before the fault; None without any acknowledgement."""
        fault = self.whole.fault
        end = fault.began_ns if fault else self.until_ns
        return _latency(self.history, self.history.due < end)

    @cached_property
    def retries(self) -> int:
        """How often the driver is known to have tried again."""
        return int(self.history.retries.sum(dtype=np.int64))

    @cached_property
    def unrecorded(self) -> int:
        """How many operations have no outcome: the harness died, or its disk was full."""
        pending = self.history.having(Outcome.UNKNOWN) & (self.history.done == 0)
        return int(np.count_nonzero(pending))

    @cached_property
    def errors(self) -> dict[str, int]:
        """How many operations were not acknowledged, by reason."""
        counts = np.bincount(self.history.reason[~self.history.having(Outcome.ACKED)])
        texts = self.whole.run.timeline.reasons
        return {
            texts.get(code, f"reason {code}"): int(counts[code])
            for code in np.flatnonzero(counts).tolist()
            if code
        }


def _latency(history: History, chosen: Flags) -> Latency | None:
    chosen = chosen & history.having(Outcome.ACKED)
    if not chosen.any():
        return None
    seconds = (history.done[chosen] - history.due[chosen]) / 1e9
    median, p99 = np.percentile(seconds, [50, 99])
    return Latency(float(median), float(p99), float(seconds.max()))
