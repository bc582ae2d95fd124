"""A session's conversation as stored.

SESSION belongs to sessions; it is read here directly, and only read: both are in the same segment,
and what may be said must not depend on one more service.
"""

from datetime import timedelta
from typing import Any

from skillswap_ops.services.base import paging, problems
from skillswap_ops.services.base.models import now
from skillswap_ops.services.base.paging import Cursor
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.chat.models import History, NewMessage, message

Document = dict[str, Any]
ORDER = [("cree_le", 1), ("id_message", 1)]
# Instances' clocks differ and writes overtake each other: who catches up looks back this far.
OVERLAP = timedelta(seconds=10)
MOST_BEHIND = 500  # messages that are caught up at once; older ones are history


async def require_participant(at: Runtime, id_session: str, user: str) -> None:
    """Raises ApiError (404) for anybody else: they do not learn that the session exists."""
    row = await at.mongo.find("SESSION", {"id_session": id_session})
    if row is None or user not in {row["id_apprenant"], row["id_enseignant"]}:
        raise ApiError(problems.NOT_FOUND, "no such session of yours")


async def keep(at: Runtime, id_session: str, user: str, said: NewMessage) -> Document:
    """The message as kept, when its declared number of members have it; idempotent by its id.

    Raises ApiError: 409 where the id is another message's, 503 where it is not acknowledged.
    """
    row: Document = {
        "id_message": said.id_message,
        "id_session": id_session,
        "id_expediteur": user,
        "texte": said.texte,
        "langue": said.langue,
        "cree_le": now(),
    }
    if said.pieces_jointes:
        row["pieces_jointes"] = list(said.pieces_jointes)
    if await at.mongo.insert("MESSAGE", row):
        return row
    query = {"id_session": id_session, "id_message": said.id_message}
    stored = await at.mongo.find("MESSAGE", query)
    if stored is None or stored["id_expediteur"] != user or stored["texte"] != said.texte:
        raise ApiError(problems.CONFLICT, "the id is another message's")
    return stored


async def history(at: Runtime, id_session: str, cursor: str | None, limit: int) -> History:
    """A page, oldest first, behind the cursor."""
    query: Document = {"id_session": id_session}
    if cursor:
        query |= paging.after(paging.parse(cursor), "cree_le", "id_message")
    rows = await at.mongo.page("MESSAGE", query, ORDER, limit)
    return History(
        messages=tuple(message(row) for row in rows),
        suivant=paging.next_cursor(rows, limit, "cree_le", "id_message"),
    )


async def since(at: Runtime, id_session: str, cursor: Cursor) -> list[Document]:
    """What may have been said behind the cursor, oldest first, a little of before it too."""
    query = {"id_session": id_session, "cree_le": {"$gte": cursor.at - OVERLAP}}
    return await at.mongo.page("MESSAGE", query, ORDER, MOST_BEHIND)
