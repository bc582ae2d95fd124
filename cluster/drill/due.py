"""Which drills must be run again, and until when. Pure: the clock is the caller's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cluster.drill.past_run import PastRun
from cluster.drill.verdict import Conclusion

QUARTER = 92  # days: the longest quarter, so that the first of each is in time


@dataclass(frozen=True)
class Wanted:
    """A drill that is to be run regularly; `note` says what stands in the way here, if anything.

    `days` is how long a run of it counts, where that is not the same for all.
    """

    drill: str
    note: str = ""
    days: int | None = None


@dataclass(frozen=True)
class Due:
    """When a drill is due, in UTC. `last` is its newest run that showed a pass or a fail.

    `inconclusive` counts its runs since then, which showed nothing.
    """

    drill: str
    last: datetime | None
    verdict: Conclusion | None
    folder: str
    inconclusive: int
    due: date
    overdue: bool
    note: str = ""


def due(wanted: Iterable[Wanted], runs: Sequence[PastRun], now: datetime, days: int) -> list[Due]:
    """When each is due, the most urgent first. What was never run is overdue since today.

    `runs` are in order, oldest first. A drill may be run until the end of its last day.
    """
    found = [
        _due(one, [run for run in runs if run.drill == one.drill], now, days) for one in wanted
    ]
    return sorted(found, key=lambda each: (not each.overdue, each.due, each.drill))


def _due(wanted: Wanted, runs: Sequence[PastRun], now: datetime, days: int) -> Due:
    conclusive = [number for number, run in enumerate(runs) if run.conclusive]
    if not conclusive:
        return Due(
            wanted.drill, None, None, "", len(runs), now.date(), overdue=True, note=wanted.note
        )
    last = runs[conclusive[-1]]
    until = last.began.date() + timedelta(days=days if wanted.days is None else wanted.days)
    return Due(
        drill=wanted.drill,
        last=last.began,
        verdict=last.verdict,
        folder=last.folder,
        inconclusive=len(runs) - 1 - conclusive[-1],
        due=until,
        overdue=now.date() > until,
        note=wanted.note,
    )
