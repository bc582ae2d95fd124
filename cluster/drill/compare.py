"""Two runs of a drill side by side: what changed, and whether it is a regression. Pure."""

from dataclasses import dataclass

from cluster.drill.contracts import Prediction, Range
from cluster.drill.past_run import PastRun
from cluster.drill.report import Stamps
from cluster.drill.verdict import Conclusion
from cluster.errors import InvalidInputError

TOLERANCE = 0.2  # the share by which the sustained RTO may grow before it is a regression
STAMPS = ("detected", "elected", "first_success", "sustained")


@dataclass(frozen=True)
class Pair:
    """One measure of both runs; None where a run has none. `predicted` is the later run's."""

    name: str
    before: float | None
    after: float | None
    unit: str = "s"
    predicted: Range | None = None

    @property
    def growth(self) -> float | None:
        """By which share it grew; None where that means nothing."""
        if self.before is None or self.after is None or self.before <= 0:
            return None
        return self.after / self.before - 1


@dataclass(frozen=True)
class Comparison:
    """Two runs of one drill, the earlier one first; `regressions` says what got worse."""

    before: PastRun
    after: PastRun
    pairs: tuple[Pair, ...]
    regressions: tuple[str, ...]


def compare(before: PastRun, after: PastRun, tolerance: float = TOLERANCE) -> Comparison:
    """Set two runs side by side.

    A longer sustained RTO is a regression where it grew by more than `tolerance` and by more than
    chance explains: the spread of the prediction, which is how far two runs of one configuration
    may lie apart. Raises InvalidInputError for runs of different drills.
    """
    if before.drill != after.drill:
        raise InvalidInputError(
            f"{before.folder} is a run of {before.drill}, {after.folder} one of {after.drill}",
            "compare two runs of one drill",
        )
    return Comparison(before, after, _pairs(before, after), _regressions(before, after, tolerance))


def _pairs(before: PastRun, after: PastRun) -> tuple[Pair, ...]:
    stamps = (
        Pair(
            name.replace("_", " "),
            _stamp(before.stamps, name),
            _stamp(after.stamps, name),
            predicted=_range(after.prediction, name),
        )
        for name in STAMPS
    )
    return (
        *stamps,
        Pair("RPO", before.rpo, after.rpo),
        Pair("lost", before.lost, after.lost, ""),
        Pair("unknown", before.unknown, after.unknown, ""),
        Pair("failed or unsent", before.failed, after.failed, ""),
        Pair("latency median", before.latency_median, after.latency_median),
        Pair("latency p99", before.latency_p99, after.latency_p99),
        Pair("run", before.seconds, after.seconds),
    )


def _regressions(before: PastRun, after: PastRun, tolerance: float) -> tuple[str, ...]:
    found = (
        _worse_verdict(before, after),
        _slower(before, after, tolerance),
        _more_lost(before, after),
    )
    return tuple(filter(None, found))


def _worse_verdict(before: PastRun, after: PastRun) -> str:
    if before.verdict is Conclusion.PASS and after.verdict is Conclusion.FAIL:
        return "passed before, and fails now"
    return ""


def _slower(before: PastRun, after: PastRun, tolerance: float) -> str:
    first, then = before.stamps.sustained, after.stamps.sustained
    if first is None:
        return ""
    if then is None:
        return "service came back before, and does not now" if after.conclusive else ""
    grown, spread = then - first, _spread(before, after)
    if grown <= first * tolerance or grown <= spread:
        return ""
    share = f"by {grown / first:.0%}, " if first else ""
    return (
        f"sustained RTO grew from {first:.1f} to {then:.1f} s: {share}"
        f"more than {tolerance:.0%} and than chance explains ({spread:.1f} s)"
    )


def _spread(before: PastRun, after: PastRun) -> float:
    """How far apart two runs may lie by chance; 0 where neither was predicted."""
    ranges = (run.prediction.sustained for run in (before, after))
    return max((known.high - known.low for known in ranges if known is not None), default=0.0)


def _more_lost(before: PastRun, after: PastRun) -> str:
    if before.lost is None or after.lost is None or after.lost <= before.lost:
        return ""
    return f"{after.lost} acknowledged writes were lost, {before.lost} before"


def _stamp(stamps: Stamps, name: str) -> float | None:
    value: float | None = getattr(stamps, name)
    return value


def _range(prediction: Prediction, name: str) -> Range | None:
    found: Range | None = getattr(prediction, name)
    return found
