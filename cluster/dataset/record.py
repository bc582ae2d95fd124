"""Which data sets a cluster already has, and what the same numbers mean on another day. Pure."""

from dataclasses import dataclass
from datetime import date

from cluster.dataset.community import SIZE
from cluster.dataset.world import GENERATION, Plan
from cluster.errors import InvalidInputError, RefusedError

ANOTHER = "or give another --seed, whose people come on top"


@dataclass(frozen=True)
class Record:
    """What was begun under a seed number, whether or not it was finished.

    `generation` says which version of this code drew it.
    """

    users: int
    as_of: date
    generation: int = GENERATION


def planned(found: Record | None, users: int, seed: int, as_of: date | None, today: date) -> Plan:
    """The data set that is meant; without `as_of` that of the record, else of `today`.

    A data set that is there can be gone on with, repeated, or grown where its last community was
    whole: the people of a smaller one would be others. Raises RefusedError for anything else, and
    InvalidInputError for numbers out of bounds.
    """
    if as_of and as_of > today:
        raise InvalidInputError(
            f"as of: {as_of} has not come yet (today is {today}, UTC)", "give another --as-of"
        )
    plan = Plan(users, seed, as_of or (found.as_of if found else today))
    if found:
        _refuse_another(found, plan)
    return plan


def _refuse_another(found: Record, plan: Plan) -> None:
    there = f"seed {plan.seed} is there with {found.users:,} users as of {found.as_of}"
    if found.generation != GENERATION:
        raise RefusedError(
            f"{there}, drawn by another version of this program", "give another --seed"
        )
    if found.as_of != plan.as_of:
        raise RefusedError(f"{there}, not {plan.as_of}", f"leave out --as-of, {ANOTHER}")
    if plan.users != found.users and min(plan.users, found.users) % SIZE:
        raise RefusedError(
            f"{there}: {plan.users:,} would not be the same people",
            f"give --users {found.users}, {ANOTHER}; only whole {SIZE:,}s can grow",
        )
