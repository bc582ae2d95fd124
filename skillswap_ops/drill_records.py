"""The cluster's history of runs, brought up to date whenever it is looked at."""

from collections.abc import Callable
from contextlib import suppress

from cluster.context import Context
from cluster.drill.past_run import PastRun
from cluster.drill.runner import conclude
from cluster.drill.runs_store import RunsStore
from cluster.errors import InvalidInputError, OpsError
from skillswap_ops.catalogue import all_checks

Say = Callable[[str], None]


def take_in(context: Context) -> None:
    """Bring the history up to the run folders, after a run; its verdict stands whatever happens.

    What is not taken in now is taken in, or told of, when the history is looked at.
    """
    with suppress(OpsError):
        past_runs(context, lambda _: None)


def past_runs(
    context: Context, on_unread: Say, drill: str | None = None, limit: int | None = None
) -> tuple[PastRun, ...]:
    """The newest runs of a drill, or of all, oldest first; `on_unread` is told of broken folders.

    Raises OpsError where the history cannot be kept.
    """
    checks = all_checks()
    with RunsStore(context.layout.drills) as store:
        synced = store.sync(lambda folder: conclude(folder, checks))
        for folder, reason in synced.unread:
            on_unread(f"not read: {folder}: {reason}")
        return store.runs(drill, limit)


def two_runs(runs: tuple[PastRun, ...], names: tuple[str, ...]) -> tuple[PastRun, PastRun]:
    """The runs meant by two parts of folder names, or the last two of a drill; the earlier first.

    Raises InvalidInputError where a name fits none or several, or the drill has not run twice.
    """
    if len(names) == 2:
        first, second = (_the_one(runs, name) for name in names)
        if first is second:
            raise InvalidInputError(f"{names[0]} and {names[1]} are one run", "name two runs")
        return (first, second) if first.began <= second.began else (second, first)
    [drill] = names
    of_drill = [run for run in runs if run.drill == drill]
    if len(of_drill) < 2:
        raise InvalidInputError(
            f"{drill} has {len(of_drill)} runs", f"`skillswap-ops drill run {drill}` makes one"
        )
    return of_drill[-2], of_drill[-1]


def _the_one(runs: tuple[PastRun, ...], name: str) -> PastRun:
    found = [run for run in runs if name in run.folder]
    if len(found) != 1:
        raise InvalidInputError(
            f"{name} is part of the names of {len(found)} runs",
            "`skillswap-ops drill history` lists them",
        )
    return found[0]
