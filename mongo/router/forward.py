"""Sends a command where it belongs, tries again what may be, and hands back the answer."""

import asyncio
import time
from dataclasses import dataclass

from pymongo.read_preferences import _ServerMode

from mongo.router import failures, translate
from mongo.router.backends import Backends, Failed, Server
from mongo.router.cloak import cloaked
from mongo.router.clustertime import ClusterTime
from mongo.router.command import Command, Principal
from mongo.router.concerns import MAJORITY
from mongo.router.config import Limits
from mongo.router.cursors import Cursor, Cursors
from mongo.router.document import Document, encode
from mongo.router.errors import Code, CommandError
from mongo.router.failures import Attempts, Failure, Happened, Next
from mongo.router.metadata import CONFIG_SET, Metadata
from mongo.router.routing import Route, Unknown, empty, route
from mongo.router.transactions import Transactions
from mongo.router.translate import BETWEEN_SERVERS
from mongo.router.users import Unavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2


@dataclass
class Tries:
    """One command's attempts, and how long they may go on after the first failure (seconds)."""

    attempts: Attempts
    patience: float
    _began: float = 0.0
    _until: float | None = None
    _pause: float = FIRST_PAUSE

    def begin(self) -> float:
        """An attempt begins; returns until when it may look for a server."""
        self._began = time.monotonic()
        return self._until if self._until is not None else self._began + self.patience

    def goes_on(self, failure: Failure) -> Next:
        """Note a failure; what to do next."""
        now = time.monotonic()
        if self._until is None:
            since = self._began if failure.happened is Happened.NOT_SENT else now
            self._until = since + self.patience
        decision = self.attempts.judge(failure)
        return Next.REPORT if now >= self._until else decision

    async def pause(self) -> None:
        """A moment, longer each time."""
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


class Forwarder:
    """What the servers behind are used through."""

    def __init__(
        self,
        backends: Backends,
        metadata: Metadata,
        clock: ClusterTime,
        cursors: Cursors,
        transactions: Transactions,
        limits: Limits,
    ) -> None:
        self._backends = backends
        self._metadata = metadata
        self._clock = clock
        self._cursors = cursors
        self._transactions = transactions
        self._limits = limits
        self.retries = 0

    async def to_owner(self, who: Principal, command: Command) -> bytes:
        """Run a command where its database lives; the reply's body. Raises CommandError."""
        pinned = self._transactions.shard_of(who.user, command)
        session = command.session
        starts = session is not None and session.starts
        tries = self._tries(command, starts=starts)
        while True:
            target = await self._target(command, pinned)
            if isinstance(target, Unknown):
                return self.own(empty(command))
            if session and starts and pinned is None:
                self._transactions.pin(who.user, session, target.replica_set)
            answer = await self._attempt(who, command, target, tries)
            if answer is not None:
                return answer

    async def to_cursor(self, who: Principal, command: Command, cursor: Cursor) -> Document:
        """The server's answer to a getMore or killCursors. Raises CommandError."""
        server = self._backends.server(cursor.server)
        attempts = Attempts(failures.effect_of(command))
        try:
            return await self._run(who, command, server, b"")
        except Failed as error:
            attempts.judge(error.failure)
            raise failures.error(command, attempts, change_stream=cursor.change_stream) from error

    def reply(self, answer: Document, more: bytes = b"") -> bytes:
        """A server's answer as the client gets it."""
        return cloaked(answer).edited(BETWEEN_SERVERS, more + self._clock.for_client())

    def own(self, elements: bytes) -> bytes:
        """An answer of the router itself as the client gets it."""
        more = self._clock.operation_time() + self._clock.for_client()
        return Document(encode({})).edited((), elements + more)

    def _tries(self, command: Command, *, starts: bool) -> Tries:
        attempts = Attempts(failures.effect_of(command), starts)
        return Tries(attempts, translate.selection_seconds(command, self._limits))

    # Where to

    async def _target(self, command: Command, pinned: str | None) -> Route | Unknown:
        """The route; metadata is read where it has no answer, a database made where it is due."""
        if not self._metadata.known:
            await self._must_refresh(command)
        target = route(command, self._metadata.catalog, pinned)
        if isinstance(target, Unknown):
            await self._must_refresh(command)
            target = route(command, self._metadata.catalog, pinned)
        if isinstance(target, Unknown) and target.create:
            await self.create_database(target.database)
            target = route(command, self._metadata.catalog, pinned)
        return target

    async def _must_refresh(self, command: Command) -> None:
        until = time.monotonic() + translate.selection_seconds(command, self._limits)
        while not await self._metadata.fresh():
            if time.monotonic() >= until:
                raise CommandError(
                    Code.FailedToSatisfyReadPreference,
                    f"not executed: the config servers cannot be asked where database "
                    f"{command.database} lives",
                )

    async def create_database(self, database: str) -> None:
        """Register a database; the config servers choose its shard. Raises CommandError."""
        command = {
            "_configsvrCreateDatabase": database,
            "writeConcern": dict(MAJORITY),
            "$db": "admin",
        }
        try:
            answer = await self._backends.ask(CONFIG_SET, command, seconds=self._limits.selection)
        except Unavailable as error:
            raise CommandError(
                Code.FailedToSatisfyReadPreference,
                f"not executed: database {database} is not registered: {error}",
            ) from error
        if not answer.truth("ok"):
            raise passed_on(answer)
        await self._metadata.fresh()

    # Attempts

    async def _attempt(
        self, who: Principal, command: Command, target: Route, tries: Tries
    ) -> bytes | None:
        """The reply, or None where the command is to be routed and sent again."""
        preference = translate.preference(command)
        answer: Document | None = None
        try:
            server = await self._select(target.replica_set, preference, tries)
            answer = await self._run(who, command, server, target.versions)
        except Failed as error:
            failure = error.failure
        else:
            refused = failures.refusal(answer)
            if refused is None:
                return self._finished(who, command, target, server, answer)
            failure = Failure(Happened.REFUSED, refused[1], refused[0])
        return await self._again(command, answer, failure, tries)

    async def _select(self, name: str, preference: _ServerMode, tries: Tries) -> Server:
        return await self._backends.replica_set(name).select(preference, tries.begin())

    async def _run(
        self, who: Principal, command: Command, server: Server, versions: bytes
    ) -> Document:
        more = self._clock.for_shard() + versions
        body = translate.outgoing(command, who.user, self._metadata.catalog.defaults, more)
        sequences = (command.sequence,) if command.sequence else ()
        seconds = translate.answer_seconds(command, self._limits)
        answer = await server.run(body, sequences, seconds)
        self._clock.from_shard(answer)
        return answer

    async def _again(
        self, command: Command, answer: Document | None, failure: Failure, tries: Tries
    ) -> bytes | None:
        decision = tries.goes_on(failure)
        if decision is Next.REPORT:
            if answer is not None and tries.attempts.answer_stands():
                return self.reply(answer)
            raise failures.error(command, tries.attempts, change_stream=command.change_stream)
        self.retries += 1
        if decision is Next.REFRESH:
            await self._metadata.fresh()
        await tries.pause()
        return None

    def _finished(
        self, who: Principal, command: Command, target: Route, server: Server, answer: Document
    ) -> bytes:
        more = b""
        if command.in_transaction:
            more = self._transactions.token(target.replica_set)
        if "cursor" in answer:
            self._note_cursor(who, command, target, server, answer)
        return self.reply(answer, more)

    def _note_cursor(
        self, who: Principal, command: Command, target: Route, server: Server, answer: Document
    ) -> None:
        cursor = answer.document("cursor")
        number = cursor.integer("id") if cursor else None
        if not number or cursor is None:
            return
        noted = self._cursors.add(
            number,
            target.replica_set,
            server.host,
            who.user,
            cursor.text("ns") or command.namespace,
            change_stream=command.change_stream,
        )
        if not noted:
            raise CommandError(Code.CommandFailed, f"cursor id {number} is taken: try again")


def passed_on(answer: Document) -> CommandError:
    """A server's refusal of the router's own command, as the client's error."""
    return CommandError(
        answer.integer("code") or Code.CommandFailed,
        answer.text("errmsg") or "refused",
        name=answer.text("codeName") or Code.CommandFailed.name,
    )
