"""Who the people of a community are, before anything has happened to them."""

from dataclasses import dataclass

import numpy as np

from cluster.dataset.community import DAY, Community
from cluster.dataset.draws import Bools, Floats, Ints
from cluster.dataset.names import FIRST, SURNAMES, City
from cluster.dataset.skills import SKILLS

YEARS = 3 * 365 * DAY  # how long ago the first ones joined, seconds
NEWEST = 2 * DAY  # the last one joined this long ago
TEACHERS = 0.4


@dataclass(frozen=True)
class People:
    """One entry a person, the longest here first. `quality` is what stars lean to (1 to 5)."""

    community: Community
    city: City
    ids: list[str]
    first_names: list[str]
    surnames: list[str]
    french: Bools
    joined: Ints
    teaches: Bools
    skill: Ints
    quality: Floats


def people(community: Community) -> People:
    """The people of a community."""
    size, city, draws = community.size, community.city, community.draws("people")
    french = draws.chance(size, city.french)
    ago = (draws.unit(size) ** 1.6 * YEARS).astype(np.int64)
    teaches = draws.chance(size, TEACHERS)
    teaches[:2] = True  # so that everybody finds a teacher
    first_names, surnames = [], []
    chances = draws.unit(2 * size).tolist()
    for is_french, one, other in zip(french.tolist(), chances[:size], chances[size:], strict=True):
        language = "fr" if is_french else "en"
        first, last = FIRST[language], SURNAMES[language]
        first_names.append(first[int(one * len(first))])
        surnames.append(last[int(other * len(last))])
    return People(
        community,
        city,
        community.ids("UTILISATEUR", size),
        first_names,
        surnames,
        french,
        np.sort(community.as_of - NEWEST - ago),
        teaches,
        draws.below(size, len(SKILLS)),
        np.clip(4.4 + 0.6 * draws.bell(size), 1.5, 5.0),
    )
