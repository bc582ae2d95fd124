"""The service reviews."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query
from pydantic import Field
from starlette.status import HTTP_201_CREATED

from skillswap_ops.services.base import events, models, paging, personal, problems
from skillswap_ops.services.base.access import User
from skillswap_ops.services.base.app import Definition, Loop
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import Answer, Id, Long, derived, now
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime

Document = dict[str, Any]
Stars = Annotated[int, Field(strict=True, ge=1, le=5)]
RECENT = timedelta(minutes=10)  # reviews whose reputation is added up again, in case it was lost
SWEEP_SECONDS = 60
AT_ONCE = 500
ASPECTS = ("ponctualite", "pedagogie", "motivation", "communication")

router = APIRouter(
    prefix="/reviews", tags=["reviews"], responses=problems.documented(*problems.AUTHENTICATED)
)
_FOUND = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)


class NewReview(models.Request):
    """What a participant says about the other one."""

    id_session: Id
    note_etoiles: Stars
    ponctualite: Stars
    pedagogie: Stars
    motivation: Stars
    communication: Stars
    commentaire: Long | None = None


class Review(Answer):
    """A review."""

    id_avis: Id
    id_session: Id
    id_emetteur: Id
    id_cible: Id
    note_etoiles: int
    ponctualite: int
    pedagogie: int
    motivation: int
    communication: int
    commentaire: str | None = None
    cree_le: datetime


class Reviews(Answer):
    """A page, newest first; `suivant` is the next page's cursor."""

    avis: tuple[Review, ...]
    suivant: str | None


class Summary(Answer):
    """What a user's reviews add up to; the means are 0 without any."""

    nombre: int
    note_etoiles: float
    ponctualite: float
    pedagogie: float
    motivation: float
    communication: float


@router.post(
    "",
    status_code=HTTP_201_CREATED,
    responses=problems.documented(
        *problems.AUTHENTICATED, problems.NOT_FOUND, problems.CONFLICT, problems.WRONG_STATE
    ),
)
async def write(asked: NewReview, at: At, who: User, later: BackgroundTasks) -> Review:
    """Review the other participant of a session that took place; once a session."""
    session = await at.upstreams.call("sessions", "GET", f"/internal/sessions/{asked.id_session}")
    people = {session["id_apprenant"], session["id_enseignant"]} if session else set()
    if session is None or who.subject not in people:
        raise ApiError(problems.NOT_FOUND, "no such session of yours")
    if session["statut"] != "REALISEE":
        raise ApiError(problems.WRONG_STATE, f"the session is {session['statut']}")
    (target,) = people - {who.subject}
    row: Document = {
        "id_avis": derived("avis", asked.id_session, who.subject),
        **asked.model_dump(exclude_none=True),
        "id_emetteur": who.subject,
        "id_cible": target,
        "cree_le": now(),
    }
    if not await at.mongo.insert("AVIS", row):
        raise ApiError(problems.CONFLICT, "you have reviewed this session")
    later.add_task(tell_reputation, at, target)
    later.add_task(events.emit, at, "AVIS_LAISSE", who.subject, asked.id_session)
    return review(row)


@router.get("/users/{id_utilisateur}")
async def about(
    id_utilisateur: Id,
    at: At,
    _who: User,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 20,
) -> Reviews:
    """The reviews about a user, newest first."""
    query: Document = {"id_cible": id_utilisateur}
    if curseur:
        query |= paging.after(paging.parse(curseur), "cree_le", "id_avis", newest_first=True)
    rows = await at.mongo.page("AVIS", query, [("cree_le", -1), ("id_avis", -1)], limite)
    return Reviews(
        avis=tuple(review(row) for row in rows),
        suivant=paging.next_cursor(rows, limite, "cree_le", "id_avis"),
    )


@router.get("/users/{id_utilisateur}/summary")
async def summary(id_utilisateur: Id, at: At, _who: User) -> Summary:
    """What a user's reviews add up to."""
    return await summed(at, id_utilisateur)


@router.get("/{id_avis}", responses=_FOUND)
async def one(id_avis: Id, at: At, _who: User) -> Review:
    """One review."""
    row = await at.mongo.find("AVIS", {"id_avis": id_avis})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such review")
    return review(row)


def review(row: Document) -> Review:
    """A review as it is sent."""
    return Review(**{name: row[name] for name in Review.model_fields if name in row})


async def summed(at: Runtime, user: str) -> Summary:
    """The means over all reviews about a user, read from the primary."""
    means = {name: {"$avg": f"${name}"} for name in ("note_etoiles", *ASPECTS)}

    async def work() -> list[Document]:
        cursor = await at.mongo.of("AVIS").aggregate(
            [
                {"$match": {"id_cible": user}},
                {"$group": {"_id": None, "nombre": {"$sum": 1}, **means}},
            ]
        )
        return await cursor.to_list()

    rows = await at.mongo.read("sum AVIS", work)
    found = rows[0] if rows else dict.fromkeys(means, 0.0) | {"nombre": 0}
    return Summary(nombre=found["nombre"], **{name: round(found[name], 2) for name in means})


async def tell_reputation(at: Runtime, user: str) -> None:
    """Have auth keep the reputation; what fails is repeated by `sweep`."""
    try:
        await put_reputation(at, user)
    except ApiError as error:
        logger().warning("reputation not told", user=user, why=str(error))


async def put_reputation(at: Runtime, user: str) -> None:
    """Have auth keep what the reviews add up to now; idempotent."""
    found = await summed(at, user)
    body = {"reputation": found.note_etoiles}
    await at.upstreams.call("auth", "PUT", f"/internal/users/{user}/reputation", body=body)


async def sweep(at: Runtime) -> None:
    """Add up what was reviewed lately: of two reviews at once, the older sum may be told last."""
    rows = await at.mongo.page(
        "AVIS", {"cree_le": {"$gt": now() - RECENT}}, [("cree_le", -1)], AT_ONCE
    )
    for user in dict.fromkeys(row["id_cible"] for row in rows):
        await put_reputation(at, user)


DEFINITION = Definition(
    name="reviews",
    title="SkillSwap: reviews",
    routers=(
        router,
        personal.router(
            Personal("AVIS", by=("id_emetteur", "id_cible"), blank={"commentaire": None})
        ),
    ),
    needs=frozenset({"mongo"}),
    loops=(Loop("sweep", SWEEP_SECONDS, sweep),),
)
