"""A drill that was run several times, as one: how far its times and losses are apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import median

from cluster.drill.report import RunSummary, Stamps
from skillswap_ops.drill_series import End

STAMPS = tuple(each.name for each in fields(Stamps))


@dataclass(frozen=True)
class Spread:
    """The middle and the worst of what was measured in `seen` of the runs."""

    median: float
    maximum: float
    seen: int


@dataclass(frozen=True)
class Repeated:
    """The runs of one drill: verdicts counted; `lost` acknowledged writes, `rpo` in seconds."""

    drill: str
    seeds: tuple[int, ...]
    verdicts: dict[str, int]
    stamps: dict[str, Spread | None]
    lost: Spread | None
    rpo: Spread | None


def repeated(ends: Iterable[End]) -> tuple[Repeated, ...]:
    """One for each drill that was run more than once."""
    by_drill: dict[str, list[RunSummary]] = {}
    for end in ends:
        if isinstance(end, RunSummary):
            by_drill.setdefault(end.drill, []).append(end)
    return tuple(_repeated(runs) for runs in by_drill.values() if len(runs) > 1)


def _repeated(runs: Sequence[RunSummary]) -> Repeated:
    return Repeated(
        drill=runs[0].drill,
        seeds=tuple(run.seed for run in runs),
        verdicts=dict(Counter(run.conclusion.value for run in runs)),
        stamps={name: _spread(getattr(run.stamps, name) for run in runs) for name in STAMPS},
        lost=_spread(_lost(run) for run in runs),
        rpo=_spread(_rpo(run) for run in runs),
    )


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(median(known), max(known), len(known)) if known else None


def _lost(run: RunSummary) -> int | None:
    """All streams' losses; None where one was not read back."""
    compared = [stream.compared for stream in run.streams]
    known = [each.lost for each in compared if each]
    return sum(known) if known and len(known) == len(compared) else None


def _rpo(run: RunSummary) -> float | None:
    """The worst stream's; None where one was not read back."""
    compared = [stream.compared for stream in run.streams]
    known = [each.rpo for each in compared if each]
    return max(known) if known and len(known) == len(compared) else None
