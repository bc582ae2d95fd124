"""A stream's operations in bins of time, for a plot: a plot's size depends on no run's length."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.drill.history import Flags
from cluster.drill.ledger import SEQUENCE_MASK
from cluster.drill.measures import StreamMeasures
from cluster.drill.outcome import Outcome

Floats = npt.NDArray[np.float64]
WIDTHS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10800)  # seconds
LEAST = 5  # operations due in a bin, else a slow stream would look like a comb


@dataclass(frozen=True)
class Span:
    """A stretch of time, monotonic ns."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class Bins:
    """What became of the operations due in each bin, a second; edges are seconds since the span.

    Stacked in this order the six make the intended rate. Latencies are seconds from due to
    acknowledged, NaN where nothing was.
    """

    edges: Floats
    lost: Floats  # acknowledged, and not read back
    good: Floats
    late: Floats  # acknowledged, but too late to count as served
    unknown: Floats
    failed: Floats
    unsent: Floats
    median: Floats
    longest: Floats


def width(span: Span, rate: float, most: int) -> float:
    """How wide the bins are, seconds: at most `most` of them, none almost empty."""
    least = max(span.seconds / most, LEAST / rate)
    return float(next((one for one in WIDTHS if one >= least), span.seconds))


def bins(stream: StreamMeasures, span: Span, most: int) -> Bins:
    """Sort the operations that were due in the span."""
    history = stream.history
    chosen = (history.due >= span.start_ns) & (history.due < span.end_ns)
    each = width(span, stream.config.rate, most)
    count = max(1, int(np.ceil(span.seconds / each)))
    edges = np.minimum(np.arange(count + 1) * each, span.seconds)
    due = history.due[chosen]
    # Half a period, lest what is due on an edge falls now to one side of it and now to the other.
    since = due - span.start_ns + round(0.5e9 / stream.config.rate)
    place = np.minimum(since // round(each * 1e9), count - 1)
    outcome, good = history.outcome[chosen], stream.good[chosen]
    own_end = (stream.until_ns - span.start_ns) / 1e9
    lasting = np.maximum(np.diff(np.minimum(edges, own_end)), 1e-9)

    def rate(flags: Flags) -> Floats:
        counted: Floats = np.bincount(place[flags], minlength=count) / lasting
        return counted

    acked = outcome == Outcome.ACKED
    lost = _lost(stream)[chosen]
    waited = (history.done[chosen] - due)[acked] / 1e9
    median, longest = _latencies(place[acked], waited, count)
    return Bins(
        edges=edges,
        lost=rate(lost),
        good=rate(good & ~lost),
        late=rate(acked & ~good & ~lost),
        unknown=rate(outcome == Outcome.UNKNOWN),
        failed=rate(outcome == Outcome.FAILED),
        unsent=rate(outcome == Outcome.UNSENT),
        median=median,
        longest=longest,
    )


def _lost(stream: StreamMeasures) -> Flags:
    flags: Flags = np.zeros(len(stream.history), np.bool_)
    if stream.sets is not None:
        flags[stream.sets.lost & SEQUENCE_MASK] = True
    return flags


def _latencies(place: npt.NDArray[np.int64], waited: Floats, count: int) -> tuple[Floats, Floats]:
    """The median and the longest of each bin."""
    median, longest = np.full(count, np.nan), np.full(count, np.nan)
    order = np.lexsort((waited, place))
    sorted_place, sorted_waited = place[order], waited[order]
    starts = np.searchsorted(sorted_place, np.arange(count), "left")
    ends = np.searchsorted(sorted_place, np.arange(count), "right")
    some = ends > starts
    median[some] = sorted_waited[(starts[some] + ends[some] - 1) // 2]
    longest[some] = sorted_waited[ends[some] - 1]
    return median, longest
