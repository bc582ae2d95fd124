"""What drill runs have left in the cluster's databases, over all engines."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.leftovers import Leftover, why_kept
from cluster.errors import OpsError, UnreachableError
from cluster.lock import exclusive
from mongo.drills import leftovers as mongo
from postgres.drills import leftovers as postgres
from skillswap_ops.traffic import leftovers as traffic

Find = Callable[[Context], Sequence[Leftover]]
Drop = Callable[[Context, Iterable[Leftover]], None]
ENGINES: tuple[tuple[Find, Drop], ...] = (
    (mongo.leftovers, mongo.drop),
    (postgres.leftovers, postgres.drop),
    (traffic.leftovers, traffic.drop),
)


@dataclass(frozen=True)
class LeftByRun:
    """A run's places; `kept` says why they are there on purpose ("": the run was killed)."""

    run: str
    kept: str
    places: tuple[Leftover, ...]


def left_behind(context: Context, seconds: float) -> tuple[LeftByRun, ...]:
    """What runs have left; waits up to `seconds` for a cluster that has just been mended.

    Raises UnreachableError where an engine does not answer.
    """
    with exclusive(context.layout.lock, "drill heal"):
        places = wait_for(
            "rows of earlier runs", lambda: [_find(context)], seconds=seconds, every=1.0
        )[0]
        by_run: dict[str, list[Leftover]] = {}
        for place in places:
            by_run.setdefault(place.run, []).append(place)
        return tuple(
            LeftByRun(run, why_kept(context.layout.drills, run), tuple(found))
            for run, found in by_run.items()
        )


def drop(context: Context, left: Iterable[LeftByRun], seconds: float) -> None:
    """Drop what these runs left; waits as `left_behind` does, for a leader may still be read-only.

    Raises UnreachableError where an engine does not let it.
    """
    doomed = {place for each in left for place in each.places}
    if not doomed:
        return
    with exclusive(context.layout.lock, "drill heal"):
        wait_for("dropping the rows", lambda: _drop(context, doomed), seconds=seconds, every=1.0)


def _drop(context: Context, doomed: Set[Leftover]) -> bool:
    try:
        for find, drop_of_engine in ENGINES:
            drop_of_engine(context, doomed & set(find(context)))
    except OpsError as error:
        raise UnreachableError(error.message) from error
    return True


def _find(context: Context) -> tuple[Leftover, ...]:
    try:
        return tuple(place for find, _ in ENGINES for place in find(context))
    except OpsError as error:
        raise UnreachableError(error.message) from error
