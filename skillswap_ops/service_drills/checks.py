"""What the services' drills check beside the chain: each reads a run's folder alone."""

from collections.abc import Iterator

import numpy as np

from cluster.drill.checkers.leadership import elected_ns
from cluster.drill.history import Flags, History
from cluster.drill.measures import Measures
from cluster.drill.outcome import Outcome
from cluster.drill.timeline import Injection
from cluster.drill.verdict import Finding, invalid, unknown, valid

BOTH_CHANGED = "both failed over"
IN_FLIGHT = "in flight"


def both_changed(measures: Measures) -> Iterator[Finding]:
    """Every group that was killed in has another leader: one of them alone is another drill.

    Each by the fault that was its own: the first one injected that its leader did not survive.
    """
    if measures.fault is None:
        return
    groups = sorted({stream.group for stream in measures.run.config.streams})
    hurt = measures.run.config.group
    for group in groups:
        if group == hurt:
            continue  # the effect of the drill says so
        since = measures.fault.began_ns
        elected = elected_ns(measures.samples(group), since)
        if elected is None:
            yield unknown(BOTH_CHANGED, "no other leader was seen", group)
        else:
            seconds = measures.since_fault(elected) or 0.0
            yield valid(BOTH_CHANGED, f"another leader after {seconds:.1f} s", group)


def in_flight(measures: Measures) -> Iterator[Finding]:
    """Nothing fails but what was under way, on an instance, in the moment that this was killed.

    A kill takes from `began_ns` to the proof: what was sent before the proof and ended after the
    beginning was under way. Operations that were never sent are the harness's own.
    """
    if measures.fault is None:
        return
    kills = measures.run.timeline.injections
    for stream in measures.streams:
        history, name = stream.history, stream.config.name
        failed = history.having(Outcome.FAILED, Outcome.UNKNOWN)
        excused = failed & _under_way(history, kills)
        outside = int(np.count_nonzero(failed & ~excused))
        unsent = stream.counts.unsent
        if outside:
            text = f"{outside:,} operations failed that no killed instance had"
            yield invalid(IN_FLIGHT, text, name)
        elif unsent and measures.doubt:
            yield unknown(IN_FLIGHT, f"{unsent:,} were not sent: {measures.doubt}", name)
        elif unsent:
            yield invalid(IN_FLIGHT, f"{unsent:,} found no free worker in time", name)
        else:
            count = int(np.count_nonzero(excused))
            yield valid(IN_FLIGHT, f"{count:,} failed, all under way at a kill", name)


def _under_way(history: History, kills: tuple[Injection, ...]) -> Flags:
    found: Flags = np.zeros(len(history), np.bool_)
    for kill in kills:
        found |= (history.sent <= kill.at_ns) & (history.done >= kill.began_ns)
    return found
