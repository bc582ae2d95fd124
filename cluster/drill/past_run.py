"""What the history keeps of a run: few enough numbers to compare many runs, and to draw them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.drill.contracts import Availability, Prediction, Promise
from cluster.drill.report import RunSummary, Stamps, StreamSummary
from cluster.drill.verdict import Conclusion


@dataclass(frozen=True)
class PastRun:
    """A run. Seconds; `folder` is the folder's name, below `runs`.

    `lost` and `rpo` are None where a stream was not read back. `rto` is what was promised, None
    where no stream had to come back by itself: then there is no sustained stamp either. Latencies
    are those of the slowest stream, before the fault; `failed` counts what was provably not
    executed, or never sent.
    """

    folder: str
    run: str
    drill: str
    cluster: str
    began: datetime
    seconds: float
    verdict: Conclusion
    exit_code: int
    reasons: tuple[str, ...]
    stamps: Stamps
    prediction: Prediction
    rto: float | None
    rpo: float | None
    lost: int | None
    unknown: int
    acked: int
    failed: int
    latency_median: float | None
    latency_p99: float | None
    seed: int
    phase_offset: float
    tool: str
    versions: dict[str, str]

    @property
    def lasting(self) -> str:
        """Why there is no sustained stamp, where one was promised."""
        return "service did not come back" if self.conclusive else "nothing was shown"

    @property
    def conclusive(self) -> bool:
        """Whether it has shown something: a pass or a fail."""
        return self.verdict is not Conclusion.INCONCLUSIVE


def past_run(folder: str, summary: RunSummary, cluster: str) -> PastRun:
    """What is kept of a summary."""
    streams = summary.streams
    compared = [stream.compared for stream in streams]
    known = [each for each in compared if each is not None]
    whole = bool(known) and len(known) == len(compared)
    before = [stream.latency_before for stream in streams if stream.latency_before]
    return PastRun(
        folder=folder,
        run=summary.run,
        drill=summary.drill,
        cluster=cluster,
        began=summary.began.astimezone(UTC),
        seconds=summary.phases[-1].began if summary.phases else 0.0,
        verdict=summary.conclusion,
        exit_code=summary.exit_code,
        reasons=summary.reasons,
        stamps=summary.stamps,
        prediction=summary.prediction,
        rto=_promised(stream.promise for stream in streams),
        rpo=max(each.rpo for each in known) if whole else None,
        lost=sum(each.lost for each in known) if whole else None,
        unknown=_sum(streams, "unknown"),
        acked=_sum(streams, "acked"),
        failed=_sum(streams, "failed") + _sum(streams, "unsent"),
        latency_median=max((each.median for each in before), default=None),
        latency_p99=max((each.p99 for each in before), default=None),
        seed=summary.seed,
        phase_offset=summary.phase_offset,
        tool=summary.tool,
        versions=dict(summary.versions),
    )


def _promised(promises: Iterable[Promise]) -> float | None:
    restored = (one.rto for one in promises if one.availability is Availability.RESTORED)
    return min(restored, default=None)


def _sum(streams: Iterable[StreamSummary], count: str) -> int:
    return sum(int(getattr(stream, count)) for stream in streams)
