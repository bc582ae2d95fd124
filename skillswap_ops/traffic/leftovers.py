"""Users that runs have left in the stores, with all that is theirs."""

from collections.abc import Iterable

from cluster.context import Context
from cluster.drill.leftovers import Leftover
from skillswap_ops.traffic import people

WITHIN = "services"
NAME = "users and all that is theirs"


def leftovers(context: Context) -> tuple[Leftover, ...]:
    """One a run that has users. Raises OpsError where no router can say."""
    return tuple(Leftover(run, WITHIN, NAME) for run in people.runs_with_people(context))


def drop(context: Context, places: Iterable[Leftover]) -> None:
    """Remove them. Idempotent."""
    for place in places:
        people.remove(context, place.run)
