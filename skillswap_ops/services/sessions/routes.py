"""What users call."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Response
from starlette.status import HTTP_200_OK, HTTP_201_CREATED, HTTP_202_ACCEPTED

from skillswap_ops.services.base import events, paging, problems
from skillswap_ops.services.base.access import Service, User
from skillswap_ops.services.base.models import Id, now
from skillswap_ops.services.base.problems import ApiError, FieldProblem
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.sessions import chain, notices, outbox, states
from skillswap_ops.services.sessions.models import (
    Change,
    IdempotencyKey,
    Proposal,
    Session,
    Sessions,
    Side,
    Status,
    session,
)
from skillswap_ops.services.sessions.states import Verdict

Document = dict[str, Any]
PAST = timedelta(minutes=5)  # between a phone's clock and ours, and for who begins right away

router = APIRouter(
    prefix="/sessions", tags=["sessions"], responses=problems.documented(*problems.AUTHENTICATED)
)
internal = APIRouter(prefix="/internal", tags=["internal"])
_FOUND = problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND)
_REFUSED = {
    Verdict.FORBIDDEN: problems.FORBIDDEN,
    Verdict.WRONG_STATE: problems.WRONG_STATE,
    Verdict.TOO_EARLY: problems.WRONG_STATE,
}


@router.post(
    "",
    status_code=HTTP_201_CREATED,
    responses={
        **problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND, problems.KEY_REUSED),
        HTTP_200_OK: {"model": Session, "description": "An earlier try had made it"},
        HTTP_202_ACCEPTED: {
            "model": Session,
            "description": "The session is kept; its message or payment intent follows by itself",
        },
    },
)
async def propose(
    asked: Proposal,
    key: IdempotencyKey,
    at: At,
    who: User,
    answer: Response,
    later: BackgroundTasks,
) -> Session:
    """Propose a session, with a first message and a payment if wanted (the write chain).

    201 means that each of them is acknowledged as it should be; 202 that the session is, and the
    rest will be. After 503 or 504 the same request with the same key finds out and goes on.
    """
    row = outbox.document(asked, who.subject, key, now())
    await _check(at, asked, who.subject, row["id_session"])
    stored, first = await chain.begin(at, row)
    complete = await chain.follow(at, stored)
    answer.status_code = _status(first=first, complete=complete)
    if "chaine_ouverte" in stored:
        later.add_task(chain.settle_quietly, at, stored)
    if first:
        later.add_task(notices.tell, at, stored, asked.id_partenaire)
    return session(stored, complete=complete)


def _status(*, first: bool, complete: bool) -> int:
    if not complete:
        return HTTP_202_ACCEPTED
    return HTTP_201_CREATED if first else HTTP_200_OK


async def _check(at: Runtime, asked: Proposal, user: str, id_session: str) -> None:
    """Raises ApiError where this cannot become a session; a repeated request is not checked."""
    if await at.mongo.find("SESSION", {"id_session": id_session}):
        return
    if asked.id_partenaire == user:
        field = FieldProblem(where="body.id_partenaire", reason="must be somebody else")
        raise ApiError(problems.INVALID, "nobody meets themselves", fields=(field,))
    if asked.debut < now() - PAST:
        field = FieldProblem(where="body.debut", reason="must not be in the past")
        raise ApiError(problems.INVALID, "too late", fields=(field,))
    partner = await at.upstreams.call("auth", "GET", f"/internal/users/{asked.id_partenaire}")
    if partner is None:
        raise ApiError(problems.NOT_FOUND, "no such user: id_partenaire")


@router.get("")
async def own(
    at: At,
    who: User,
    role: Side = "APPRENANT",
    statut: Status | None = None,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 20,
) -> Sessions:
    """One's sessions as learner, or as teacher, by begin."""
    query: Document = {"id_apprenant" if role == "APPRENANT" else "id_enseignant": who.subject}
    if statut:
        query["statut"] = statut
    if curseur:
        query |= paging.after(paging.parse(curseur), "debut", "id_session")
    rows = await at.mongo.page("SESSION", query, [("debut", 1), ("id_session", 1)], limite)
    return Sessions(
        sessions=tuple(session(row) for row in rows),
        suivant=paging.next_cursor(rows, limite, "debut", "id_session"),
    )


@router.get("/{id_session}", responses=_FOUND)
async def one(id_session: Id, at: At, who: User) -> Session:
    """A session, for its participants."""
    return session(await _for_participant(at, id_session, who.subject))


@router.put(
    "/{id_session}/statut",
    responses=problems.documented(
        *problems.AUTHENTICATED, problems.NOT_FOUND, problems.WRONG_STATE
    ),
)
async def change(
    id_session: Id, asked: Change, at: At, who: User, later: BackgroundTasks
) -> Session:
    """Change the status; asking for the status that it has is not an error."""
    row = await _for_participant(at, id_session, who.subject)
    found = states.verdict(row, who.subject, asked.statut, now())
    if found is Verdict.ALREADY:
        return session(row)
    if found is not Verdict.CHANGE:
        raise ApiError(_REFUSED[found], f"{row['statut']} to {asked.statut}: {found.value}")
    fields: Document = {"statut": asked.statut}
    if asked.statut == "ANNULEE" and "id_intention" in row:
        fields["chaine_ouverte"] = now()  # the intent is to be cancelled too
    changed = await at.mongo.set(
        "SESSION", {"id_session": id_session, "statut": row["statut"]}, fields
    )
    if changed is None:
        raise ApiError(problems.WRONG_STATE, "somebody else changed it meanwhile")
    if "chaine_ouverte" in changed:
        later.add_task(chain.settle_quietly, at, changed)
    later.add_task(notices.tell, at, changed, states.other(changed, who.subject))
    if asked.statut == "REALISEE":
        learner, teacher = states.participants(changed)
        later.add_task(events.emit, at, "SESSION_DONNEE", teacher, id_session)
        later.add_task(events.emit, at, "SESSION_SUIVIE", learner, id_session)
    return session(changed)


async def _for_participant(at: Runtime, id_session: str, user: str) -> Document:
    """Raises ApiError (404) for others too: they do not learn that it exists."""
    row = await at.mongo.find("SESSION", {"id_session": id_session})
    if row is None or user not in states.participants(row):
        raise ApiError(problems.NOT_FOUND, "no such session of yours")
    return row


@internal.get("/sessions/{id_session}", responses=_FOUND)
async def for_services(id_session: Id, at: At, _who: Service) -> Session:
    """A session, for a service that knows who asks."""
    row = await at.mongo.find("SESSION", {"id_session": id_session})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such session")
    return session(row)
