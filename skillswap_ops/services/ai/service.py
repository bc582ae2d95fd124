"""The service ai."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from pydantic import Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from skillswap_ops.services.ai import provider
from skillswap_ops.services.base import models, problems
from skillswap_ops.services.base.access import Service, User
from skillswap_ops.services.base.app import Definition
from skillswap_ops.services.base.models import Answer, Id, Long, derived, now
from skillswap_ops.services.base.personal import MOST_ROWS, Export, public
from skillswap_ops.services.base.problems import ApiError
from skillswap_ops.services.base.runtime import At, Runtime

Document = dict[str, Any]
Agent = Literal["MENTOR", "PROF", "ETUDIANT"]
RIGHT = "AGENTS_IA"
CONTEXT = 20  # turns that the provider is given
LONGEST = 16_000  # characters of a kept answer
_AUTH = problems.AUTHENTICATED

router = APIRouter(prefix="/ai", tags=["ai"], responses=problems.documented(*_AUTH))
internal = APIRouter(prefix="/internal", tags=["internal"])
_FOUND = problems.documented(*_AUTH, problems.NOT_FOUND)
_ASKED = problems.documented(
    *_AUTH, problems.NOT_FOUND, problems.WRONG_STATE, problems.NOT_CONFIGURED,
    problems.BAD_UPSTREAM,
)  # fmt: skip


class NewDialogue(models.Request):
    """With whom."""

    agent: Agent


class Dialogue(Answer):
    """A conversation with an agent."""

    id_session_ia: Id
    agent: Agent
    statut: Literal["ACTIVE", "TERMINEE"]
    debut: datetime


class Question(models.Request):
    """What the user says."""

    texte: Long


class Turn(Answer):
    """What either side said."""

    id_message_ia: Id
    auteur: Literal["UTILISATEUR", "AGENT"]
    texte: str
    cree_le: datetime


class Turns(Answer):
    """A conversation's last turns, oldest first."""

    messages: tuple[Turn, ...]


class Rating(models.Request):
    """What the user thinks of it."""

    note_etoiles: Annotated[int, Field(strict=True, ge=1, le=5)]
    commentaire: Long | None = None


class Rated(Answer):
    """The rating is kept."""

    id_avis_ia: Id


@router.post("/sessions", status_code=HTTP_201_CREATED, responses=_ASKED)
async def begin(asked: NewDialogue, at: At, who: User) -> Dialogue:
    """Begin a conversation; for users who have paid for it."""
    provider.model(at.settings)
    rights = await at.upstreams.call("payments", "GET", f"/internal/entitlements/{who.subject}")
    if RIGHT not in {right["droit"] for right in (rights or {}).get("droits", ())}:
        raise ApiError(problems.FORBIDDEN, f"needs the right {RIGHT}")
    row: Document = {
        "id_session_ia": str(uuid4()),
        "id_utilisateur": who.subject,
        "agent": asked.agent,
        "statut": "ACTIVE",
        "debut": now(),
    }
    await at.mongo.insert("SESSION_IA", row)
    return _dialogue(row)


@router.post("/sessions/{id_session_ia}/messages", status_code=HTTP_201_CREATED, responses=_ASKED)
async def ask(id_session_ia: Id, asked: Question, at: At, who: User) -> Turn:
    """Say something; the answer is the agent's. Nothing is kept where the provider fails."""
    row = await _own(at, id_session_ia, who.subject)
    if row["statut"] != "ACTIVE":
        raise ApiError(problems.WRONG_STATE, "the conversation is over")
    model = provider.model(at.settings)
    said = now()
    turns = [(turn["auteur"], turn["texte"]) for turn in await _turns(at, id_session_ia)]
    text = await model.answer(row["agent"], [*turns, ("UTILISATEUR", asked.texte)])
    await _keep(at, id_session_ia, "UTILISATEUR", asked.texte, said)
    return _turn(await _keep(at, id_session_ia, "AGENT", text[:LONGEST], now()))


@router.get("/sessions/{id_session_ia}/messages", responses=_FOUND)
async def read(id_session_ia: Id, at: At, who: User) -> Turns:
    """The last turns of one's conversation."""
    await _own(at, id_session_ia, who.subject)
    return Turns(messages=tuple(_turn(row) for row in await _turns(at, id_session_ia)))


@router.put("/sessions/{id_session_ia}/termine", responses=_FOUND)
async def end(id_session_ia: Id, at: At, who: User) -> Dialogue:
    """End it; idempotent."""
    await _own(at, id_session_ia, who.subject)
    query = {"id_session_ia": id_session_ia}
    row = await at.mongo.set("SESSION_IA", query, {"statut": "TERMINEE"})
    if row is None:
        raise ApiError(problems.NOT_FOUND, "no such conversation of yours")
    return _dialogue(row)


@router.post(
    "/sessions/{id_session_ia}/review",
    status_code=HTTP_201_CREATED,
    responses=problems.documented(*_AUTH, problems.NOT_FOUND, problems.CONFLICT),
)
async def rate(id_session_ia: Id, asked: Rating, at: At, who: User) -> Rated:
    """Rate a conversation, once."""
    await _own(at, id_session_ia, who.subject)
    row: Document = {
        "id_avis_ia": derived("avis-ia", id_session_ia, who.subject),
        "id_session_ia": id_session_ia,
        "id_utilisateur": who.subject,
        **asked.model_dump(exclude_none=True),
        "cree_le": now(),
    }
    if not await at.mongo.insert("AVIS_IA", row):
        raise ApiError(problems.CONFLICT, "you have rated it")
    return Rated(id_avis_ia=row["id_avis_ia"])


@internal.get("/personal/{user}", responses=problems.documented(*_AUTH))
async def export(user: Id, at: At, _who: Service) -> Export:
    """Everything about a person."""
    dialogues = await _of(at, user)
    said = await at.mongo.page("MESSAGE_IA", _in(dialogues), [("cree_le", 1)], MOST_ROWS)
    ratings = await at.mongo.page("AVIS_IA", {"id_utilisateur": user}, [("cree_le", 1)], MOST_ROWS)
    rows = {"SESSION_IA": dialogues, "MESSAGE_IA": said, "AVIS_IA": ratings}
    return Export(lignes={name: [public(row) for row in found] for name, found in rows.items()})


@internal.delete(
    "/personal/{user}", status_code=HTTP_204_NO_CONTENT, responses=problems.documented(*_AUTH)
)
async def forget(user: Id, at: At, _who: Service) -> None:
    """Remove it, what was said before the conversation that leads to it; idempotent."""
    dialogues = await _of(at, user)

    async def work() -> None:
        await at.mongo.of("MESSAGE_IA").delete_many(_in(dialogues))
        await at.mongo.of("AVIS_IA").delete_many({"id_utilisateur": user})
        await at.mongo.of("SESSION_IA").delete_many({"id_utilisateur": user})

    await at.mongo.write("remove SESSION_IA", work, again=True)


async def _of(at: Runtime, user: str) -> list[Document]:
    return await at.mongo.page("SESSION_IA", {"id_utilisateur": user}, [("debut", -1)], MOST_ROWS)


def _in(dialogues: list[Document]) -> Document:
    return {"id_session_ia": {"$in": [row["id_session_ia"] for row in dialogues]}}


async def _own(at: Runtime, own_id: str, user: str) -> Document:
    row = await at.mongo.find("SESSION_IA", {"id_session_ia": own_id})
    if row is None or row["id_utilisateur"] != user:
        raise ApiError(problems.NOT_FOUND, "no such conversation of yours")
    return row


async def _turns(at: Runtime, own_id: str) -> list[Document]:
    rows = await at.mongo.page("MESSAGE_IA", {"id_session_ia": own_id}, [("cree_le", -1)], CONTEXT)
    return rows[::-1]


async def _keep(at: Runtime, own_id: str, author: str, text: str, moment: datetime) -> Document:
    row: Document = {
        "id_message_ia": str(uuid4()),
        "id_session_ia": own_id,
        "auteur": author,
        "texte": text,
        "cree_le": moment,
    }
    await at.mongo.insert("MESSAGE_IA", row)
    return row


def _dialogue(row: Document) -> Dialogue:
    return Dialogue(**{name: row[name] for name in Dialogue.model_fields})


def _turn(row: Document) -> Turn:
    return Turn(**{name: row[name] for name in Turn.model_fields})


DEFINITION = Definition(
    name="ai",
    title="SkillSwap: AI agents",
    routers=(router, internal),
    needs=frozenset({"mongo"}),
)
