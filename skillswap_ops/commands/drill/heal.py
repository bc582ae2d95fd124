"""`drill heal`."""

from typing import TYPE_CHECKING

import click

from cluster.errors import FaultNotUndoneError
from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.context import Context
    from cluster.drill.journal import Healed
    from skillswap_ops.leftovers import LeftByRun

MENDED_SECONDS = 90.0  # until a cluster whose fault was just undone can be asked


@click.command("heal")
@click.option("--purge", is_flag=True, help="Also drop rows that are kept on purpose.")
@selects_cluster
@yes_option
def heal(selection: Selection, *, purge: bool, yes: bool) -> None:
    """Undo whatever faults a killed drill left behind, then drop the rows that it wrote.

    Faults are undone without asking; rows are dropped after asking. Those of a failed run are
    evidence and stay, as do those of --keep-data, unless --purge is given.
    """
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    healed = _undo(context)
    dropped, stay = _drop(context, MENDED_SECONDS if healed else 0, purge=purge, yes=yes)
    if selection.json:
        console.print_json(
            {
                "undone": [result.entry.fault for result in healed],
                "dropped": [str(place) for left in dropped for place in left.places],
                "left": [str(place) for left in stay for place in left.places],
            }
        )


def _undo(context: "Context") -> "tuple[Healed, ...]":
    from skillswap_ops.drilling import heal_all

    healed = heal_all(context, lambda entry: console.say(f"undoing {entry.fault} …"))
    failed = [result for result in healed if result.error]
    for result in failed:
        console.say(f"not undone: {result.entry.fault}: {result.error}")
    if failed:
        raise FaultNotUndoneError(
            f"{len(failed)} of {len(healed)} faults are still in place",
            "mend what the lines above say, then run it again",
        )
    console.say(f"{len(healed)} faults undone." if healed else "No fault is in place.")
    return healed


def _drop(
    context: "Context", seconds: float, *, purge: bool, yes: bool
) -> "tuple[list[LeftByRun], list[LeftByRun]]":
    """What was dropped, and what stays."""
    from skillswap_ops.leftovers import drop, left_behind

    found = left_behind(context, seconds)
    kept = [left for left in found if left.kept and not purge]
    doomed = [left for left in found if left not in kept]
    for left in kept:
        console.say(f"rows of run {left.run} stay, {left.kept} ({_places(left)}); see --purge")
    for left in doomed:
        console.say(f"rows of run {left.run}, {left.kept or 'which was killed'}: {_places(left)}")
    if doomed and not _agreed(yes=yes):
        return [], [*kept, *doomed]
    drop(context, doomed, seconds)
    if doomed:
        console.say(f"dropped the rows of {len(doomed)} runs")
    return doomed, kept


def _agreed(*, yes: bool) -> bool:
    """Without a terminal and --yes the rows stay: they harm nobody."""
    import sys

    if yes:
        return True
    if not sys.stdin.isatty():
        console.say("they stay: dropping them asks first; without a terminal add --yes")
        return False
    return click.confirm("Drop these rows?", err=True)


def _places(left: "LeftByRun") -> str:
    return ", ".join(map(str, left.places))
