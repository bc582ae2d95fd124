"""The service virtual-classroom."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.status import HTTP_204_NO_CONTENT

from skillswap_ops.services.base import problems
from skillswap_ops.services.base.access import Service, User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Answer, Id, now
from skillswap_ops.services.base.personal import Export
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At
from skillswap_ops.services.virtual_classroom import provider

EARLY = timedelta(minutes=15)  # before a session begins
LATE = timedelta(minutes=30)  # after it was to end
_AUTH = problems.AUTHENTICATED

router = APIRouter(prefix="/classrooms", tags=["classrooms"])
internal = APIRouter(prefix="/internal", tags=["internal"])


class Entry(Answer):
    """The way into a session's room, for one participant."""

    lien: str
    salle: str
    expire_le: datetime


@router.post(
    "/{id_session}/join",
    responses=problems.documented(
        *_AUTH, problems.NOT_FOUND, problems.WRONG_STATE, problems.NOT_CONFIGURED
    ),
)
async def join(id_session: Id, at: At, who: User) -> Entry:
    """Enter the room of a confirmed session at a distance, around the time that it is held."""
    session = await at.upstreams.call("sessions", "GET", f"/internal/sessions/{id_session}")
    if session is None or who.subject not in {session["id_apprenant"], session["id_enseignant"]}:
        raise ApiError(problems.NOT_FOUND, "no such session of yours")
    until = closes(session, now())
    room = f"skillswap-{id_session}"
    moderates = who.subject == session["id_enseignant"]
    video = provider.video(at.settings.providers)
    link = video.link(room, who.subject, moderates=moderates, until=until)
    return Entry(lien=link, salle=room, expire_le=until)


def closes(session: dict[str, Any], present: datetime) -> datetime:
    """When the room of a session closes. Raises ApiError (409) where it is not open."""
    if session["statut"] != "CONFIRMEE" or session["mode"] != "DISTANCIEL":
        raise ApiError(
            problems.WRONG_STATE, f"the session is {session['statut']}, {session['mode']}"
        )
    opens = datetime.fromisoformat(session["debut"]) - EARLY
    until = datetime.fromisoformat(session["fin"]) + LATE
    if not opens <= present < until:
        raise ApiError(problems.WRONG_STATE, f"the room is open from {opens} to {until}")
    return until


@internal.get("/personal/{user}", responses=problems.documented(*_AUTH))
async def export(user: Id, _who: Service) -> Export:
    """Nothing is kept here about anybody."""
    del user
    return Export(lignes={})


@internal.delete(
    "/personal/{user}", status_code=HTTP_204_NO_CONTENT, responses=problems.documented(*_AUTH)
)
async def remove(user: Id, _who: Service) -> None:
    """Nothing is kept here about anybody."""


DEFINITION = Definition(
    name="virtual-classroom",
    title="SkillSwap: virtual classroom",
    routers=(router, internal),
)
