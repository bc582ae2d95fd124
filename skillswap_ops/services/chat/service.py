"""The service chat."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.status import HTTP_201_CREATED

from skillswap_ops.services.base import paging, personal, problems
from skillswap_ops.services.base.access import User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Id
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.runtime import At
from skillswap_ops.services.chat import conversation, hub, socket
from skillswap_ops.services.chat.models import History, Message, NewMessage, message

REMOVED = "(message supprimé)"

router = APIRouter(
    prefix="/chat",
    tags=["chat"],
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND),
)


@router.get("/sessions/{id_session}/messages")
async def history(
    id_session: Id,
    at: At,
    who: User,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 50,
) -> History:
    """The conversation, oldest first, page by page."""
    await conversation.require_participant(at, id_session, who.subject)
    return await conversation.history(at, id_session, curseur, limite)


@router.post(
    "/sessions/{id_session}/messages",
    status_code=HTTP_201_CREATED,
    responses=problems.documented(*problems.AUTHENTICATED, problems.NOT_FOUND, problems.CONFLICT),
)
async def say(id_session: Id, asked: NewMessage, at: At, who: User, request: Request) -> Message:
    """Say something without a WebSocket; the answer is the acknowledgement."""
    await conversation.require_participant(at, id_session, who.subject)
    row = await conversation.keep(at, id_session, who.subject, asked)
    running: hub.Hub = request.app.state.resources
    await running.publish(row)
    return message(row)


DEFINITION = Definition(
    name="chat",
    title="SkillSwap: chat",
    routers=(
        router,
        socket.router,
        personal.router(
            Personal(
                "MESSAGE",
                by=("id_expediteur",),
                blank={"texte": REMOVED, "pieces_jointes": None},
            )
        ),
    ),
    needs=frozenset({"mongo", "redis"}),
    soft=frozenset({"redis"}),  # without it messages arrive by reading, up to a second later
    resources=hub.running,
)
