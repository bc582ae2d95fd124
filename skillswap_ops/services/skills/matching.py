"""Matching: skills that fit, of people who are near.

Profiles belong to auth. They are read here directly, and only read: matching is one query over both
collections of the same segment, and to ask auth for each candidate would be a call a person.
"""

import math
from typing import Any

from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.skills.models import Filters, Match, Matches, Near, stored

EARTH_KM = 6371.0
MOST_NEAR = 2_000  # people within the radius that are looked at
Document = dict[str, Any]
Place = tuple[float, float]  # longitude, latitude, degrees


def distance_km(one: Place, other: Place) -> float:
    """Along the great circle (haversine), to a hundred metres."""
    (x1, y1), (x2, y2) = ((math.radians(x), math.radians(y)) for x, y in (one, other))
    h = math.sin((y2 - y1) / 2) ** 2 + math.cos(y1) * math.cos(y2) * math.sin((x2 - x1) / 2) ** 2
    return round(2 * EARTH_KM * math.asin(math.sqrt(min(1.0, h))), 1)


async def search(at: Runtime, filters: Filters, narrowed: Document) -> list[Document]:
    """The skills that fit, best first where there are words."""
    query = filters.query() | narrowed
    if not filters.mots:
        return await at.mongo.page("COMPETENCE", query, [("id_competence", 1)], filters.limite)

    async def by_score() -> list[Document]:
        score = {"score": {"$meta": "textScore"}}
        found = at.mongo.of("COMPETENCE").find(query, score)
        return await found.sort(list(score.items())).limit(filters.limite).to_list()

    return await at.mongo.read("search COMPETENCE", by_score)


async def matches(at: Runtime, wanted: Near, user: str) -> Matches:
    """What fits and whose it is, without the user's own."""
    place = await _place(at, wanted, user)
    narrowed: Document = {"id_utilisateur": {"$ne": user}}
    if place and wanted.rayon_km:
        near = await _near(at, place, wanted.rayon_km)
        narrowed = {"id_utilisateur": {"$in": [one for one in near if one != user]}}
    rows = await search(at, wanted, narrowed)
    people = await _people(at, {row["id_utilisateur"] for row in rows})
    found = [
        _match(row, people[row["id_utilisateur"]], place)
        for row in rows
        if row["id_utilisateur"] in people
    ]
    found.sort(key=lambda one: (-one.reputation, one.distance_km or math.inf))
    return Matches(correspondances=tuple(found))


async def _place(at: Runtime, wanted: Near, user: str) -> Place | None:
    if wanted.longitude is not None and wanted.latitude is not None:
        return wanted.longitude, wanted.latitude
    row = await at.mongo.find("UTILISATEUR", {"id_utilisateur": user})
    return _coordinates(row) if row else None


async def _near(at: Runtime, place: Place, radius_km: float) -> list[str]:
    sphere = {"$centerSphere": [list(place), radius_km / EARTH_KM]}

    async def work() -> list[str]:
        found = at.mongo.of("UTILISATEUR").find(
            {"localisation": {"$geoWithin": sphere}}, {"id_utilisateur": 1}
        )
        return [row["id_utilisateur"] for row in await found.limit(MOST_NEAR).to_list()]

    return await at.mongo.read("near UTILISATEUR", work)


async def _people(at: Runtime, ids: set[str]) -> dict[str, Document]:
    async def work() -> list[Document]:
        shown = {"id_utilisateur": 1, "nom": 1, "reputation": 1, "localisation": 1}
        return (
            await at.mongo.of("UTILISATEUR")
            .find({"id_utilisateur": {"$in": sorted(ids)}}, shown)
            .to_list()
        )

    return {row["id_utilisateur"]: row for row in await at.mongo.read("of matches", work)}


def _match(row: Document, person: Document, place: Place | None) -> Match:
    there = _coordinates(person)
    return Match(
        competence=stored(row),
        nom=person["nom"],
        reputation=person["reputation"],
        distance_km=distance_km(place, there) if place and there else None,
    )


def _coordinates(row: Document) -> Place | None:
    place = row.get("localisation")
    return (place["coordinates"][0], place["coordinates"][1]) if place else None
