"""The service gamification."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Query
from pydantic import StringConstraints
from starlette.status import HTTP_202_ACCEPTED

from cluster.badges import BY_CODE
from skillswap_ops.services.base import models, personal, problems
from skillswap_ops.services.base.access import Service, User
from skillswap_ops.services.base.app import Definition, Loop
from skillswap_ops.services.base.models import Answer, Id, derived, now
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.gamification import scores

Document = dict[str, Any]
What = Literal["SESSION_DONNEE", "SESSION_SUIVIE", "AVIS_LAISSE", "GROUPE_REJOINT"]
Ranked = Literal["APPRENANT", "ENSEIGNANT", "MENTOR"]
Period = Annotated[
    str, StringConstraints(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$", min_length=7, max_length=7)
]
SWEEP_SECONDS = 60
BEST = 50

router = APIRouter(
    prefix="/gamification",
    tags=["gamification"],
    responses=problems.documented(*problems.AUTHENTICATED),
)
internal = APIRouter(prefix="/internal", tags=["internal"])


class Happened(models.Request):
    """What a user did."""

    id_utilisateur: Id
    type: What


class Counted(Answer):
    """It counts."""

    id_evenement: Id


class Numbers(Answer):
    """What a user has come to."""

    id_utilisateur: Id
    points: int
    sessions_donnees: int
    sessions_suivies: int
    badges: tuple[str, ...]
    maj_le: datetime | None


class Rank(Answer):
    """A place in a ranking."""

    rang: int
    id_utilisateur: Id
    score: int


class Leaderboard(Answer):
    """A month's best."""

    periode: Period
    role: Ranked
    rangs: tuple[Rank, ...]


@router.get("/users/{user}")
async def numbers(user: Id, at: At, _who: User) -> Numbers:
    """A user's points and badges; zero for who has done nothing yet."""
    row = await at.mongo.find("STATISTIQUE_UTILISATEUR", {"id_utilisateur": user}) or {}
    return Numbers(
        id_utilisateur=user,
        points=row.get("points", 0),
        sessions_donnees=row.get("sessions_donnees", 0),
        sessions_suivies=row.get("sessions_suivies", 0),
        badges=tuple(await _badges(at, user)),
        maj_le=row.get("maj_le"),
    )


@router.get("/leaderboard")
async def leaderboard(
    at: At,
    _who: User,
    periode: Annotated[Period | None, Query()] = None,
    role: Ranked = "ENSEIGNANT",
) -> Leaderboard:
    """The best of a month, this one's without a choice."""
    period = periode or scores.month(now())
    query = {"periode": period, "role": role}
    rows = await at.mongo.page("CLASSEMENT", query, [("score", -1)], BEST)
    ranks = tuple(
        Rank(rang=place, id_utilisateur=row["id_utilisateur"], score=row["score"])
        for place, row in enumerate(rows, start=1)
    )
    return Leaderboard(periode=period, role=role, rangs=ranks)


@internal.put(
    "/events/{id_evenement}",
    status_code=HTTP_202_ACCEPTED,
    responses=problems.documented(*problems.AUTHENTICATED),
)
async def happened(
    id_evenement: Id, asked: Happened, at: At, later: BackgroundTasks, _who: Service
) -> Counted:
    """Something happened; counts once, however often it is told."""
    moment = now()
    row = {
        "id_evenement": id_evenement,
        "id_utilisateur": asked.id_utilisateur,
        "type": asked.type,
        "points": scores.POINTS[asked.type],
        "cree_le": moment,
    }
    await at.mongo.insert("EVENEMENT_ACTIVITE", row)
    later.add_task(count, at, asked.id_utilisateur, scores.month(moment))
    return Counted(id_evenement=id_evenement)


async def count(at: Runtime, user: str, period: str) -> None:
    """Add up, and give the badges that it earns; what fails is the sweep's."""
    try:
        await scores.add_up(at, user, period)
        await award(at, user)
    except ApiError:
        return


async def award(at: Runtime, user: str) -> None:
    """Give the badges that a user's numbers earn; who is the first to earn one makes it."""
    row = await at.mongo.find("STATISTIQUE_UTILISATEUR", {"id_utilisateur": user}) or {}
    for code in earned(row):
        badge = BY_CODE[code]
        if await at.mongo.find("BADGE", {"code": code}) is None:
            await at.mongo.insert("BADGE", badge.row)
        given = {
            "id_utilisateur_badge": derived("badge", user, badge.id),
            "id_utilisateur": user,
            "id_badge": badge.id,
            "obtenu_le": now(),
        }
        await at.mongo.insert("UTILISATEUR_BADGE", given)


# Badge, the number that earns it, and how much of it; the same as the made-up data's.
EARNED_BY = (
    ("PREMIERE_SEANCE", "sessions_suivies", 1),
    ("PREMIER_COURS", "sessions_donnees", 1),
    ("ASSIDU", "sessions_suivies", 3),
    ("MENTOR", "sessions_donnees", 8),
)


def earned(row: Document) -> list[str]:
    """The codes of the badges that these numbers earn."""
    return [code for code, name, least in EARNED_BY if row.get(name, 0) >= least]


async def _badges(at: Runtime, user: str) -> list[str]:
    given = await at.mongo.page(
        "UTILISATEUR_BADGE", {"id_utilisateur": user}, [("obtenu_le", 1)], 100
    )
    ids = {"$in": [row["id_badge"] for row in given]}
    rows = await at.mongo.page("BADGE", {"id_badge": ids}, [("code", 1)], 100) if given else []
    return [row["code"] for row in rows]


DEFINITION = Definition(
    name="gamification",
    title="SkillSwap: gamification",
    routers=(
        router,
        internal,
        personal.router(
            Personal("EVENEMENT_ACTIVITE"),
            Personal("UTILISATEUR_BADGE"),
            Personal("CLASSEMENT"),
            Personal("STATISTIQUE_UTILISATEUR"),
        ),
    ),
    needs=frozenset({"mongo"}),
    loops=(Loop("sweep", SWEEP_SECONDS, scores.sweep),),
)
