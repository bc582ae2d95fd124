"""All that a community stores, and how many communities make the data set."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from cluster.dataset import (
    accounts,
    activity,
    assistants,
    exchanges,
    groups,
    meetings,
    money,
    profiles,
)
from cluster.dataset.community import SIZE, Community, Rows, seconds
from cluster.dataset.people import people
from cluster.errors import InvalidInputError
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.types import Entity

MOST_USERS = 10_000_000
MOST_SEEDS = 10_000  # telephone numbers hold four digits of it
EARLIEST = date(2000, 1, 1)
GENERATION = 2  # raised whenever the same numbers begin to give other documents


@dataclass(frozen=True)
class Plan:
    """Which data set: how many people, drawn from which number, as seen on which day.

    Raises InvalidInputError where a number is out of bounds.
    """

    users: int
    seed: int
    as_of: date

    def __post_init__(self) -> None:
        if not 1 <= self.users <= MOST_USERS:
            raise InvalidInputError(
                f"users: must be from 1 to {MOST_USERS:,} (got {self.users:,})",
                "give other --users",
            )
        if not 0 <= self.seed < MOST_SEEDS:
            raise InvalidInputError(
                f"seed: must be from 0 to {MOST_SEEDS - 1} (got {self.seed})", "give another --seed"
            )
        if self.as_of < EARLIEST:
            raise InvalidInputError(
                f"as of: must be {EARLIEST} or later (got {self.as_of})", "give another --as-of"
            )

    @property
    def communities(self) -> int:
        """How many communities; only the last one can be smaller than SIZE."""
        return -(-self.users // SIZE)

    def community(self, number: int) -> Community:
        """The community of that number, from 0."""
        size = min(SIZE, self.users - number * SIZE)
        return Community(self.seed, number, size, seconds(self.as_of))


@dataclass(frozen=True)
class Batch:
    """Rows of one entity, ready to be stored. Times are UTC without a time zone."""

    entity: Entity
    rows: Rows


def shared() -> Batch:
    """What every community refers to."""
    return Batch(BY_NAME["BADGE"], activity.badges())


def batches(community: Community) -> Iterator[Batch]:
    """All that the community stores, each entity after those that it refers to."""
    found = documents(community)
    for entity in ENTITIES:
        if found.get(entity.name):
            yield Batch(entity, found[entity.name])


def merged(communities: Iterable[Community]) -> list[Batch]:
    """All that several communities store, in as few batches, in the same order."""
    rows: dict[str, Rows] = {}
    for community in communities:
        for batch in batches(community):
            rows.setdefault(batch.entity.name, []).extend(batch.rows)
    return [Batch(entity, rows[entity.name]) for entity in ENTITIES if entity.name in rows]


def documents(community: Community) -> dict[str, Rows]:
    """The rows by entity."""
    who = people(community)
    met = meetings.meetings(who)
    said = meetings.reviews(who, met)
    together = groups.groups(who)
    sums = profiles.numbers(who, met, said, together)
    happened = activity.events(met, said, together)
    return {
        **profiles.documents(who, sums, together),
        **accounts.documents(who),
        **groups.documents(who, together),
        **exchanges.documents(who, met, said),
        **activity.documents(who, happened, sums, together),
        **assistants.documents(who),
        **money.documents(who),
    }
