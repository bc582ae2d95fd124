"""Past runs, made up: what the history would say of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cluster.drill.contracts import Prediction, Range
from cluster.drill.past_run import PastRun
from cluster.drill.report import Stamps
from cluster.drill.verdict import Conclusion

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def past(day: int = 0, sustained: float | None = 20.0, **changes: object) -> PastRun:
    """A run of pg-node-kill, so many days after the first of March."""
    began = FIRST + timedelta(days=day)
    made = PastRun(
        folder=f"{began:%Y%m%dT%H%M%SZ}-pg-node-kill-{day:08x}",
        run=f"{day:08x}",
        drill="pg-node-kill",
        cluster="skillswap",
        began=began,
        seconds=70.0,
        verdict=Conclusion.PASS,
        exit_code=0,
        reasons=(),
        stamps=Stamps(1.5, 19.0, 19.5, sustained),
        prediction=Prediction(sustained=Range(18, 25, 21)),
        rto=120.0,
        rpo=0.0,
        lost=0,
        unknown=8,
        acked=3000,
        failed=1000,
        latency_median=0.02,
        latency_p99=0.1,
        seed=7,
        phase_offset=1.0,
        tool="0.1.0",
        versions={"postgres": "15.9"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]
