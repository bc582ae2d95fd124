"""Points, added up anew from the events that gave them, so that none counts twice or is lost.

An event is kept once (its id follows from what happened). A month's score is the sum of its events,
a user's points the sum of their months; both are written as values, never as increments.
"""

from datetime import datetime, timedelta
from typing import Any

from skillswap_ops.services.base.models import derived, now
from skillswap_ops.services.base.runtime import Runtime

Document = dict[str, Any]
# What is worth how much, and in which ranking it counts; the same as the made-up data's.
POINTS = {"SESSION_DONNEE": 20, "SESSION_SUIVIE": 10, "AVIS_LAISSE": 5, "GROUPE_REJOINT": 2}
RANKING = {
    "SESSION_DONNEE": "ENSEIGNANT",
    "SESSION_SUIVIE": "APPRENANT",
    "AVIS_LAISSE": "APPRENANT",
    "GROUPE_REJOINT": "APPRENANT",
}
COUNTED = {"SESSION_DONNEE": "sessions_donnees", "SESSION_SUIVIE": "sessions_suivies"}
RECENT = timedelta(minutes=10)
AT_ONCE = 500


def month(moment: datetime) -> str:
    """`2026-11`."""
    return f"{moment:%Y-%m}"


def bounds(period: str) -> tuple[datetime, datetime]:
    """When a month begins and the next one does, in UTC."""
    begin = datetime.fromisoformat(f"{period}-01T00:00:00+00:00")
    return begin, (begin + timedelta(days=32)).replace(day=1)


async def add_up(at: Runtime, user: str, period: str) -> None:
    """Write the user's scores of a month, and their points."""
    begin, end = bounds(period)
    when = {"id_utilisateur": user, "cree_le": {"$gte": begin, "$lt": end}}
    by_type = {row["_id"]: row["points"] for row in await _sum(at, when)}
    for role in sorted({*RANKING.values()}):
        score = sum(points for what, points in by_type.items() if RANKING[what] == role)
        if score:
            await _put_score(at, user, period, role, score)
    await _put_points(at, user)


async def _sum(at: Runtime, query: Document) -> list[Document]:
    async def work() -> list[Document]:
        cursor = await at.mongo.of("EVENEMENT_ACTIVITE").aggregate(
            [
                {"$match": query},
                {"$group": {"_id": "$type", "points": {"$sum": "$points"}, "n": {"$sum": 1}}},
            ]
        )
        return await cursor.to_list()

    return await at.mongo.read("sum EVENEMENT_ACTIVITE", work)


async def _put_score(at: Runtime, user: str, period: str, role: str, score: int) -> None:
    own_id = derived("classement", user, period, role)
    key = {"id_utilisateur": user, "periode": period, "role": role}
    row = {"id_classement": own_id, **key, "score": score}
    if not await at.mongo.insert("CLASSEMENT", row):
        await at.mongo.set("CLASSEMENT", key, {"score": score})


async def _put_points(at: Runtime, user: str) -> None:
    """Points only grow: events, and what an import brought, may be gone by now."""
    rows = await at.mongo.page("CLASSEMENT", {"id_utilisateur": user}, [("periode", -1)], 1000)
    counts = {row["_id"]: row["n"] for row in await _sum(at, {"id_utilisateur": user})}
    grown = {"points": sum(row["score"] for row in rows)}
    grown |= {name: counts.get(what, 0) for what, name in COUNTED.items()}
    empty = {"id_utilisateur": user, "avis_recus": 0, "note_moyenne": 0.0, "maj_le": now()}
    if await at.mongo.insert("STATISTIQUE_UTILISATEUR", empty | grown):
        return

    async def work() -> None:
        await at.mongo.of("STATISTIQUE_UTILISATEUR").update_one(
            {"id_utilisateur": user}, {"$max": grown, "$set": {"maj_le": now()}}
        )

    await at.mongo.write("points", work, again=True)


async def sweep(at: Runtime) -> None:
    """Add up again what happened lately: an instance may have died between event and sum."""
    rows = await at.mongo.page(
        "EVENEMENT_ACTIVITE", {"cree_le": {"$gt": now() - RECENT}}, [("cree_le", -1)], AT_ONCE
    )
    for user, period in dict.fromkeys((r["id_utilisateur"], month(r["cree_le"])) for r in rows):
        await add_up(at, user, period)
