"""Was a stream put back to an instant: all of before is there, nothing of after?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cluster.drill.contracts import OpIds
from cluster.drill.history import Flags, History
from cluster.drill.ledger import SEQUENCE_MASK
from cluster.drill.measures import Measures
from cluster.drill.outcome import Outcome
from cluster.drill.verdict import Finding, invalid, unknown, valid


@dataclass(frozen=True)
class Held:
    """Operations acknowledged by the instant, and sent after it; how many are wrongly here or not.

    What was under way at the instant may be there or not, and is counted in neither.
    """

    before: int
    missing: int
    after: int
    kept: int

    @property
    def text(self) -> str:
        """For a finding."""
        return f"{self.before:,} acknowledged by the instant, {self.after:,} sent after it"


def held_to(history: History, read: OpIds, at_ns: int, until_ns: int | None = None) -> Held:
    """Compare what was read of a stream with what its ledger says of the instant `at_ns`.

    `until_ns`: what was sent after that went to the restored data, and belongs there. Operations
    that never left are not counted; times are monotonic ns.
    """
    here: Flags = np.zeros(len(history), np.bool_)
    sequence = read & SEQUENCE_MASK
    here[sequence[sequence < len(history)]] = True
    before = history.having(Outcome.ACKED) & (history.done <= at_ns)
    after = (history.sent > at_ns) & history.having(Outcome.ACKED, Outcome.UNKNOWN, Outcome.FAILED)
    if until_ns is not None:
        # An answer that came after the end may be that of the restored data.
        after &= (history.done > 0) & (history.done <= until_ns)
    return Held(
        before=int(before.sum()),
        missing=int((before & ~here).sum()),
        after=int(after.sum()),
        kept=int((after & here).sum()),
    )


def judged(check: str, held: Held, name: str, took: str) -> Finding:
    """What a comparison with an instant comes to."""
    if held.missing:
        return invalid(check, f"{held.text}: {held.missing:,} of the former are missing", name)
    if held.kept:
        return invalid(check, f"{held.text}: {held.kept:,} of the latter are there", name)
    if not held.before or not held.after:
        return unknown(check, f"{held.text}: too few to tell", name)
    return valid(check, f"{held.text}: the former are there, the latter not; {took}", name)


def to_the_instant(
    check: str, measures: Measures, at_ns: int, seconds: float | None
) -> Iterator[Finding]:
    """Every write acknowledged by the instant is there; none that was sent after it, before the
    data was destroyed by the last fault, is. `seconds`: how long the restore took.
    """
    if seconds is None:
        yield unknown(check, "the restore is not known to have ended")
        return
    destroyed = measures.run.timeline.injections[-1].at_ns
    for stream in measures.streams:
        read = measures.run.read[stream.config.number]
        if read is None:
            yield unknown(check, "not read back", stream.config.name)
        else:
            held = held_to(stream.history, read, at_ns, destroyed)
            yield judged(check, held, stream.config.name, f"restored in {seconds:.1f} s")
