"""The WebSocket: messages in, acknowledgements and messages out."""

import asyncio
import json
import time

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from skillswap_ops.services.base import paging, problems
from skillswap_ops.services.base.models import Answer
from skillswap_ops.services.base.paging import Cursor
from skillswap_ops.services.base.problems import ApiError, FieldProblem
from skillswap_ops.services.base.runtime import Runtime
from skillswap_ops.services.base.tokens import Principal
from skillswap_ops.services.chat import conversation
from skillswap_ops.services.chat.hub import Client, Hub, TooSlowError
from skillswap_ops.services.chat.models import SAY, Ack, Ready, Refused, Said, message

PROTOCOL = "skillswap.v1"
BEARER = "bearer."  # a browser cannot set Authorization: the token is a second subprotocol
# Close codes 4000 to 4999 are the application's own (RFC 6455, 7.4.2).
UNAUTHENTICATED, NOT_FOUND, EXPIRED = 4401, 4404, 4408
TRY_AGAIN = 1013

router = APIRouter()


@router.websocket("/chat/sessions/{id_session}/ws")
async def talk(socket: WebSocket, id_session: str, apres: str | None = None) -> None:
    """A session's conversation. `apres` is the cursor of the last message that the client has."""
    at: Runtime = socket.app.state.runtime
    hub: Hub = socket.app.state.resources
    try:
        who = at.tokens.verify(token_of(socket))
        cursor = paging.parse(apres) if apres else None
        await conversation.require_participant(at, id_session, who.subject)
    except ApiError as error:
        # Accepted first: a refused handshake cannot say why.
        await socket.accept(subprotocol=_protocol(socket))
        code = NOT_FOUND if error.kind.status == 404 else UNAUTHENTICATED
        await socket.close(code if error.kind.status < 500 else TRY_AGAIN, error.kind.slug)
        return
    await socket.accept(subprotocol=_protocol(socket))
    at.metrics.websockets.inc()
    try:
        async with hub.client(id_session, cursor) as client:
            await _serve(socket, Conversation(at, hub, client, who))
    except (WebSocketDisconnect, ApiError):
        return
    finally:
        at.metrics.websockets.dec()


def token_of(socket: WebSocket) -> str:
    """The client's access token. Raises ApiError (401) where there is none."""
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    for offered in socket.scope["subprotocols"]:
        if offered.startswith(BEARER):
            return str(offered.removeprefix(BEARER))
    raise ApiError(problems.UNAUTHENTICATED, "no bearer token")


def _protocol(socket: WebSocket) -> str | None:
    return PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None


class Conversation:
    """One client's part in a conversation."""

    def __init__(self, at: Runtime, hub: Hub, client: Client, who: Principal) -> None:
        self._at = at
        self._hub = hub
        self._client = client
        self._who = who

    @property
    def seconds_left(self) -> float:
        """How long the token is good; the client comes back with its next one."""
        return max(0.0, self._who.expires_at - time.time())

    async def answer(self, text: str) -> Answer:
        """What a client's frame is answered: an acknowledgement only when the message is kept."""
        try:
            said = SAY.validate_json(text)
        except ValidationError as error:
            return _refused(_id_in(text), _invalid(error))
        try:
            row = await conversation.keep(
                self._at, self._client.id_session, self._who.subject, said
            )
        except ApiError as error:
            return _refused(said.id_message, error)
        await self._hub.publish(row)
        return Ack(
            id_message=row["id_message"],
            cree_le=row["cree_le"],
            curseur=Cursor(row["cree_le"], row["id_message"]).text(),
        )

    async def next(self) -> Said:
        """The next message for the client. Raises TooSlowError."""
        row = await self._client.next()
        return Said(message=message(row), curseur=Cursor(row["cree_le"], row["id_message"]).text())


async def _serve(socket: WebSocket, talk: Conversation) -> None:
    """Until either side ends, or the token runs out."""
    await socket.send_text(Ready().model_dump_json())
    lock = asyncio.Lock()

    async def send(answer: Answer) -> None:
        async with lock:
            await socket.send_text(answer.model_dump_json())

    async def listen() -> None:
        while True:
            await send(await talk.answer(await socket.receive_text()))

    async def tell() -> None:
        while True:
            await send(await talk.next())

    tasks = [asyncio.create_task(listen()), asyncio.create_task(tell())]
    try:
        done, _ = await asyncio.wait(
            tasks, timeout=talk.seconds_left, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    if not done:
        await socket.close(EXPIRED, "the token has expired")
    elif any(isinstance(result, TooSlowError) for result in results):
        await socket.close(TRY_AGAIN, "too slow: connect again with the last cursor")
    elif any(isinstance(result, KeyError) for result in results):
        await socket.close(1003, "text frames only")


def _refused(id_message: str | None, error: ApiError) -> Refused:
    return Refused(id_message=id_message, probleme=problems.document(error, ""))


def _invalid(error: ValidationError) -> ApiError:
    fields = tuple(
        FieldProblem(where=".".join(map(str, one["loc"])), reason=one["msg"])
        for one in error.errors(include_url=False, include_input=False)
    )
    return ApiError(problems.INVALID, f"{len(fields)} fields are wrong", fields=fields)


def _id_in(text: str) -> str | None:
    """The id of a message that was refused, so that its sender knows which."""
    try:
        found = json.loads(text).get("id_message")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and len(found) <= 36 else None
