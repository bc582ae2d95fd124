"""The unit of the data set: people of one city who deal with each other and with nobody else.

A community is drawn from its seed, its number and its size alone, so that any process makes any
community without the others, and every reference inside it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from cluster.dataset.draws import Draws, Ints
from cluster.dataset.names import CITIES, City

SIZE = 1_000  # people of a whole community
DAY, HOUR, MINUTE = 86_400, 3_600, 60  # seconds
Document = dict[str, object]
Rows = list[Document]


@dataclass(frozen=True)
class Community:
    """Which people are meant. `as_of` is the present of the data set, in seconds since 1970.

    Nothing has been made after it; what is agreed on may lie ahead.
    """

    seed: int
    number: int
    size: int
    as_of: int

    def draws(self, what: str) -> Draws:
        """Chance for one purpose, the same whatever else is drawn."""
        return Draws("community", self.seed, self.number, self.size, self.as_of, what)

    def ids(self, entity: str, count: int) -> list[str]:
        """The primary keys of an entity. They do not depend on the date."""
        return Draws("ids", self.seed, self.number, entity).ids(count)

    @property
    def first(self) -> int:
        """The number of the first person, over all communities of the seed."""
        return self.number * SIZE

    @property
    def city(self) -> City:
        """Where these people live."""
        draws = Draws("city", self.seed, self.number)
        return CITIES[int(draws.choose(1, tuple(city.weight for city in CITIES))[0])]


def seconds(day: date) -> int:
    """The midnight (UTC) with which a day begins, in seconds since 1970."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def times(moments: Ints) -> list[datetime]:
    """Seconds since 1970 as UTC without a time zone: what drivers take fastest."""
    made: list[datetime] = moments.astype("datetime64[s]").tolist()
    return made


def pick(pool: tuple[str, ...], draws: Draws, count: int) -> list[str]:
    """Any of the pool, each as often."""
    return [pool[at] for at in draws.below(count, len(pool)).tolist()]


def pick_by_language(
    pools: Mapping[str, tuple[str, ...]], french: list[bool], draws: Draws
) -> list[str]:
    """Any of the pool of each one's language."""
    fr, en = pools["fr"], pools["en"]
    return [
        fr[int(at * len(fr))] if is_french else en[int(at * len(en))]
        for is_french, at in zip(french, draws.unit(len(french)).tolist(), strict=True)
    ]


def runs(counts: Ints) -> tuple[Ints, Ints]:
    """For `counts` of children: each child's parent, and its place among its siblings."""
    parents = np.repeat(np.arange(len(counts)), counts)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    return parents, np.arange(len(parents)) - firsts


def without_none(rows: Rows) -> Rows:
    """The rows without their empty optional fields."""
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
