"""The four stamps of a recovery beside what was predicted and what is promised."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.drill.contracts import Range
from cluster.drill.publish import words
from cluster.drill.publish.paths import Scale
from cluster.drill.report import RunSummary

STAMPS = ("detected", "elected", "first success", "sustained")


@dataclass(frozen=True)
class Bar:
    """Where on a bar the numbers stand, per cent of its width; None for what there is not."""

    low: float | None
    width: float
    median: float | None
    measured: float | None
    promised: float | None  # None too where it is far to the right


@dataclass(frozen=True)
class StampRow:
    """A stamp, seconds; `verdict` says whether it came as predicted, "" if that is not known."""

    number: int
    name: str
    measured: float | None
    predicted: Range | None
    promised: float | None
    verdict: str
    bar: Bar


def stamp_rows(summary: RunSummary) -> Iterator[StampRow]:
    """The four, in the order in which they come."""
    limits = promised(summary)
    for place, name in enumerate(STAMPS, start=1):
        key = name.replace(" ", "_")
        measured: float | None = getattr(summary.stamps, key)
        predicted: Range | None = getattr(summary.prediction, key)
        limit = limits.get(name)
        bar = _bar(measured, predicted, limit)
        yield StampRow(place, name, measured, predicted, limit, _against(measured, predicted), bar)


def promised(summary: RunSummary) -> Mapping[str, float]:
    """The strictest limit of each stamp."""
    elections = [s.promise.election for s in summary.streams if s.promise.election is not None]
    recoveries = [stream.promise.rto for stream in words.restored(summary)]
    limits = {"elected": elections, "sustained": recoveries}
    return {name: min(known) for name, known in limits.items() if known}


def _bar(measured: float | None, predicted: Range | None, limit: float | None) -> Bar:
    """From 0 to a little more than what was measured and predicted."""
    far = max(measured or 0.0, predicted.high if predicted else 0.0) * 1.25 or 1.0
    scale = Scale(0, far, 0, 100)

    def place(value: float | None) -> float | None:
        return None if value is None or value > far else scale(value)

    low = place(predicted.low) if predicted else None
    return Bar(
        low=low,
        width=max(1.0, scale(predicted.high) - scale(predicted.low)) if predicted else 0.0,
        median=place(predicted.median) if predicted else None,
        measured=place(measured),
        promised=place(limit),
    )


def _against(measured: float | None, predicted: Range | None) -> str:
    if measured is None or predicted is None:
        return ""
    if measured < predicted.low:
        return "faster than predicted"
    return "slower than predicted" if measured > predicted.high else "as predicted"
