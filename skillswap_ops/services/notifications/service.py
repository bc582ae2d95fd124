"""The service notifications."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Query, Request
from starlette.status import HTTP_202_ACCEPTED

from skillswap_ops.services.base import models, paging, personal, problems
from skillswap_ops.services.base.access import Admin, Service, User
from skillswap_ops.services.base.app import Definition, Loop
from skillswap_ops.services.base.logs import logger
from skillswap_ops.services.base.models import Answer, Id, Short, now
from skillswap_ops.services.base.personal import Personal
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime
from skillswap_ops.services.notifications.provider import Delivery, Provider, Sink

JOURNAL = "JOURNAL_NOTIFICATION"
AGAIN_AFTER = timedelta(seconds=10)  # what is still waiting then has lost its instance
GIVE_UP_AFTER = timedelta(hours=1)
AT_ONCE = 100
AGAIN_SECONDS = 5
Document = dict[str, Any]
Channel = Literal["PUSH", "COURRIEL"]

router = APIRouter(
    prefix="/notifications",
    tags=["notifications"],
    responses=problems.documented(*problems.AUTHENTICATED),
)
internal = APIRouter(prefix="/internal", tags=["internal"])


class NewNotification(models.Request):
    """What is to be told to whom."""

    id_utilisateur: Id
    canal: Channel = "PUSH"
    sujet: Short


class Notification(Answer):
    """An entry of the journal."""

    id_notification: Id
    canal: Channel
    sujet: str
    statut: Literal["EN_ATTENTE", "ENVOYEE", "ECHEC"]
    envoye_le: datetime


class Notifications(Answer):
    """A page, newest first; `suivant` is the next page's cursor."""

    notifications: tuple[Notification, ...]
    suivant: str | None


class Sunk(Answer):
    """What this instance's sink was given last."""

    livraisons: tuple[Delivery, ...]


class Accepted(Answer):
    """It is in the journal and will be delivered."""

    id_notification: Id


@router.get("")
async def own(
    at: At,
    who: User,
    curseur: Annotated[str | None, Query(max_length=200)] = None,
    limite: Annotated[int, Query(ge=1, le=paging.LARGEST)] = 20,
) -> Notifications:
    """One's notifications, newest first."""
    query: Document = {"id_utilisateur": who.subject}
    if curseur:
        query |= paging.after(
            paging.parse(curseur), "envoye_le", "id_notification", newest_first=True
        )
    order = [("envoye_le", -1), ("id_notification", -1)]
    rows = await at.mongo.page(JOURNAL, query, order, limite)
    shown = Notification.model_fields
    return Notifications(
        notifications=tuple(Notification(**{n: row[n] for n in shown}) for row in rows),
        suivant=paging.next_cursor(rows, limite, "envoye_le", "id_notification"),
    )


@router.get("/sink")
async def sink(request: Request, _who: Admin) -> Sunk:
    """What the sink was given, in place of a provider; this instance's only."""
    provider = request.app.state.resources
    return Sunk(livraisons=tuple(provider.kept) if isinstance(provider, Sink) else ())


@internal.put(
    "/notifications/{id_notification}",
    status_code=HTTP_202_ACCEPTED,
    responses=problems.documented(*problems.AUTHENTICATED),
)
async def put(
    id_notification: Id,
    asked: NewNotification,
    at: At,
    request: Request,
    later: BackgroundTasks,
    _who: Service,
) -> Accepted:
    """Journal it and deliver it; idempotent by its id."""
    row = {
        "id_notification": id_notification,
        **asked.model_dump(),
        "statut": "EN_ATTENTE",
        "envoye_le": now(),
    }
    if await at.mongo.insert(JOURNAL, row):
        later.add_task(deliver, at, request.app.state.resources, row)
    return Accepted(id_notification=id_notification)


async def deliver(at: Runtime, provider: Provider, row: Document) -> None:
    """Hand it to the provider and note how that went; at least once, as the journal says."""
    delivery = Delivery(**{name: row[name] for name in Delivery.model_fields})
    try:
        await provider.send(delivery)
        outcome = "ENVOYEE"
    except ApiError as error:
        logger().warning("not delivered", id=row["id_notification"], why=str(error))
        outcome = "EN_ATTENTE" if row["envoye_le"] > now() - GIVE_UP_AFTER else "ECHEC"
    query = {"id_utilisateur": row["id_utilisateur"], "id_notification": row["id_notification"]}
    await at.mongo.set(JOURNAL, query, {"statut": outcome})


@asynccontextmanager
async def resources(_at: Runtime) -> AsyncIterator[Provider]:
    """The provider: `providers.push` knows one so far."""
    yield SINK


SINK = Sink()


async def again(at: Runtime) -> None:
    """Deliver what an instance journaled and did not live to deliver."""
    query = {"statut": "EN_ATTENTE", "envoye_le": {"$lt": now() - AGAIN_AFTER}}
    for row in await at.mongo.page(JOURNAL, query, [("envoye_le", 1)], AT_ONCE):
        await deliver(at, SINK, row)


DEFINITION = Definition(
    name="notifications",
    title="SkillSwap: notifications",
    routers=(router, internal, personal.router(Personal(JOURNAL))),
    needs=frozenset({"mongo"}),
    loops=(Loop("again", AGAIN_SECONDS, again),),
    resources=resources,
)
