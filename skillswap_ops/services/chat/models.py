"""What is said, over HTTP and over WebSocket."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from skillswap_ops.services.base.models import Answer, Id, Language, Long, Request

MOST_FILES = 10


class NewMessage(Request):
    """A message; the client makes its id, so that one that it sends again is the same."""

    id_message: Id
    texte: Long
    langue: Language = "fr"
    pieces_jointes: Annotated[tuple[Id, ...], Field(max_length=MOST_FILES)] = ()


class Message(Answer):
    """A message as it is kept."""

    id_message: Id
    id_session: Id
    id_expediteur: Id
    texte: str
    langue: Language
    pieces_jointes: tuple[Id, ...] = ()
    cree_le: datetime


class History(Answer):
    """A page of a conversation, oldest first; `suivant` is where the next one begins."""

    messages: tuple[Message, ...]
    suivant: str | None


class Say(NewMessage):
    """A client's frame: a message."""

    type: Literal["message"]


class Ready(Answer):
    """The server's first frame: from here on everything new is sent."""

    type: Literal["ready"] = "ready"


class Ack(Answer):
    """The message is kept; its sender may forget it."""

    type: Literal["ack"] = "ack"
    id_message: Id
    cree_le: datetime
    curseur: str


class Said(Answer):
    """A message of either side. A client may get one twice, and knows it by its id."""

    type: Literal["message"] = "message"
    message: Message
    curseur: str


class Refused(Answer):
    """A frame that was not taken, and why (RFC 9457); the message is not acknowledged."""

    type: Literal["error"] = "error"
    id_message: str | None
    probleme: dict[str, Any]


SAY: TypeAdapter[Say] = TypeAdapter(Say)


def message(row: dict[str, Any]) -> Message:
    """A stored message as it is sent."""
    return Message(**{name: row[name] for name in Message.model_fields if name in row})
