"""When a stream was down: the outages of an open-loop load, by what it intended."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.drill.history import Flags, History, Times
from cluster.drill.outcome import Outcome

BLOCK = 1 << 19  # rows at a time, to keep a long history's check out of memory


@dataclass(frozen=True)
class Steady:
    """What counts as service: in every window this share of the intended operations is good."""

    window_ns: int
    percent: int


@dataclass(frozen=True)
class Outage:
    """Monotonic ns; `end_ns` is None where no later window was good."""

    start_ns: int
    end_ns: int | None


def outages(
    due: Times, good: Flags, since_ns: int, until_ns: int, steady: Steady
) -> tuple[Outage, ...]:
    """The outages from `since_ns` until the load ended, in order.

    Service holds at t if in [t, t + window) enough of the operations due are good; t is `since_ns`
    or the due time of an operation, and the window ends by `until_ns`. It is down from where it
    does not hold (the first outage counts from `since_ns`, a later one from the first bad
    operation of the window) until a good operation at which it holds. `due` is ascending.
    """
    if until_ns - steady.window_ns < since_ns:
        return (Outage(since_ns, None),)
    first = int(np.searchsorted(due, since_ns))
    due, good = due[first:], good[first:]  # rows below count from there
    starts = int(np.searchsorted(due, until_ns - steady.window_ns, side="right"))
    at_once = int(np.searchsorted(due, since_ns + steady.window_ns))
    holds = _holds(due, good, starts, steady)
    fails, ends = np.flatnonzero(~holds), np.flatnonzero(holds & good[:starts])
    bad = np.flatnonzero(~good)
    found: list[Outage] = []
    row: int | None = 0
    if not _enough(int(np.count_nonzero(good[:at_once])), at_once, steady):
        row = _next(ends, 0)
        found.append(Outage(since_ns, None if row is None else int(due[row])))
    while row is not None and (lost := _next(fails, row)) is not None:
        row = _next(ends, lost)
        begun = _next(bad, lost)
        found.append(
            Outage(
                int(due[lost if begun is None else begun]),
                None if row is None else int(due[row]),
            )
        )
    return tuple(found)


def _holds(due: Times, good: Flags, starts: int, steady: Steady) -> Flags:
    """Whether service holds at each of the first `starts` operations."""
    before = np.concatenate((np.zeros(1, np.int32), np.cumsum(good, dtype=np.int32)))
    holds: Flags = np.empty(starts, np.bool_)
    for low in range(0, starts, BLOCK):
        row = np.arange(low, min(low + BLOCK, starts))
        end = np.searchsorted(due, due[row] + steady.window_ns)
        share = (before[end] - before[row]).astype(np.int64) * 100
        holds[row] = share >= steady.percent * (end - row)
    return holds


def _enough(good: int, intended: int, steady: Steady) -> bool:
    return intended > 0 and good * 100 >= steady.percent * intended


def _next(rows: npt.NDArray[np.int64], row: int) -> int | None:
    """The first of these ascending rows that is not before `row`."""
    place = int(np.searchsorted(rows, row))
    return int(rows[place]) if place < len(rows) else None


@dataclass(frozen=True)
class Restoration:
    """When service was up for good after a fault (None: not seen), and what failed after that."""

    sustained_ns: int | None
    relapses: tuple[Outage, ...]


def restoration(found: tuple[Outage, ...], origin_ns: int, elected_ns: int | None) -> Restoration:
    """The end of the outage that the fault caused, out of all `outages` since `origin_ns`.

    A fault may hurt late (a frozen Patroni's lease runs out first): service that is up *before*
    another leader was elected proves no recovery, so the last outage that began by then counts.
    Without any, service was up at `origin_ns`.
    """
    limit = origin_ns if elected_ns is None else max(origin_ns, elected_ns)
    caused = [outage for outage in found if outage.start_ns <= limit]
    relapses = tuple(outage for outage in found if outage.start_ns > limit)
    return Restoration(caused[-1].end_ns if caused else origin_ns, relapses)


def first_success_ns(history: History, since_ns: int) -> int | None:
    """When the first of the operations *sent* after `since_ns` was acknowledged."""
    chosen = history.having(Outcome.ACKED) & (history.sent >= since_ns)
    return int(history.done[chosen].min()) if chosen.any() else None


def acked_between(history: History, from_ns: int, to_ns: int) -> int:
    """How many operations were sent, and later acknowledged, in [from, to)."""
    chosen = history.having(Outcome.ACKED) & (history.sent >= from_ns) & (history.sent < to_ns)
    return int(np.count_nonzero(chosen))
