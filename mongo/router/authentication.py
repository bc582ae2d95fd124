"""Clients prove who they are: saslStart and saslContinue with SCRAM-SHA-256."""

from dataclasses import dataclass, field
from typing import Any

from bson import Binary

from mongo.router import log
from mongo.router.command import Command, Principal, UserName
from mongo.router.document import Document
from mongo.router.errors import Code, CommandError
from mongo.router.scram import MECHANISM, Conversation, authentication_failed, user_of
from mongo.router.users import Unavailable, User, Users

CONVERSATION_ID = 1


@dataclass
class Identity:
    """Who a connection belongs to, and how far its proof has come."""

    client: str  # addresses
    server: str
    name: UserName | None = None
    claimed: User | None = None
    conversation: Conversation | None = field(default=None, repr=False)
    skip_empty: bool = False


class Authentication:
    """Logs connections in and out."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def principal(self, identity: Identity) -> Principal | None:
        """Who the connection acts as now; None before a log-in, and after the user was dropped."""
        if identity.name is None:
            return None
        user = self._users.known(identity.name)
        if user is None:
            log.event("user is gone: logged out", user=str(identity.name))
            identity.name = None
            return None
        return Principal(user.name, user.rights)

    async def start(self, identity: Identity, command: Command) -> dict[str, Any]:
        """Answer saslStart. Raises CommandError."""
        return await self.begin(identity, command.body, command.database)

    async def begin(self, identity: Identity, body: Document, database: str) -> dict[str, Any]:
        """Answer the fields of a saslStart."""
        identity.conversation = identity.claimed = None
        mechanism = body.text("mechanism") or ""
        if mechanism != MECHANISM:
            raise CommandError(
                Code.MechanismUnavailable,
                f"Received authentication for mechanism {mechanism} which is not enabled",
            )
        payload = _payload(body)
        name = UserName(user_of(payload), database)
        if identity.name not in {None, name}:
            raise CommandError(
                Code.SecondAuthentication,
                "Each client connection may only be authenticated once. Previously authenticated "
                f"as: {identity.name}",
            )
        identity.claimed = await self._claimed(identity, name)
        identity.conversation = Conversation(identity.claimed.credentials)
        options = body.document("options")
        identity.skip_empty = options is not None and options.truth("skipEmptyExchange")
        return _step(identity.conversation.first(payload), done=False)

    async def go_on(self, identity: Identity, command: Command) -> dict[str, Any]:
        """Answer saslContinue. Raises CommandError."""
        conversation, claimed = identity.conversation, identity.claimed
        if conversation is None or claimed is None:
            raise CommandError(Code.ProtocolError, "No SASL session state found")
        payload = _payload(command.body)
        if conversation.proved:  # the empty exchange of older drivers
            identity.conversation = None
            return _step(b"", done=True)
        try:
            answer = conversation.final(payload)
        except CommandError:
            identity.conversation = identity.claimed = None
            log.warning("authentication failed", user=str(claimed.name), client=identity.client)
            raise
        identity.name = claimed.name
        if identity.skip_empty:
            identity.conversation = None
        return _step(answer, done=identity.skip_empty)

    async def mechanisms(self, name: str) -> list[str]:
        """The mechanisms by which `database.user` can log in; none for whom we do not know."""
        database, dot, user = name.partition(".")
        if not dot:
            raise CommandError(Code.BadValue, "UserName must contain a '.' separated database.user")
        try:
            found = await self._users.find(UserName(user, database))
        except Unavailable:
            return [MECHANISM]
        return [MECHANISM] if found and found.credentials else []

    async def _claimed(self, identity: Identity, name: UserName) -> User:
        try:
            user = await self._users.find(name)
        except Unavailable as error:
            log.warning("log-in impossible: config servers away", user=str(name))
            raise CommandError(
                Code.FailedToSatisfyReadPreference, f"cannot look up {name}: {error}"
            ) from error
        if user is None:
            log.warning("authentication failed: no such user", user=str(name))
            raise authentication_failed()
        if not user.credentials:
            raise CommandError(
                Code.MechanismUnavailable,
                f"Unable to use {MECHANISM} based authentication for user without any "
                f"{MECHANISM} credentials registered",
            )
        if not user.may_come_from(identity.client, identity.server):
            log.warning("authentication refused from this address", user=str(name))
            raise authentication_failed()
        return user


def _payload(body: Document) -> bytes:
    payload = body.value("payload")
    if isinstance(payload, str):
        return payload.encode()
    if not isinstance(payload, bytes):
        raise authentication_failed()
    return payload


def _step(payload: bytes, *, done: bool) -> dict[str, Any]:
    return {
        "conversationId": CONVERSATION_ID,
        "done": done,
        "payload": Binary(payload),
        "ok": 1.0,
    }
