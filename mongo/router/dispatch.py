"""One command from a client: may he, and who answers?"""

from collections.abc import Sequence
from dataclasses import replace

from bson import Int64

from mongo.router import log
from mongo.router.authz import Need, place
from mongo.router.clustertime import ClusterTime
from mongo.router.command import Command, Goes, Nature, Principal
from mongo.router.cursors import Cursors
from mongo.router.document import Document, encode_elements, mismatch
from mongo.router.errors import Code, CommandError, needs_mongos, unauthorized
from mongo.router.forward import Forwarder
from mongo.router.here import Here
from mongo.router.request import Parts, Request

# After these the metadata is another.
_CHANGES_METADATA = frozenset(
    {"addShard", "removeShard", "enableSharding", "setDefaultRWConcern", "dropDatabase"}
)


class Dispatcher:
    """Answers commands."""

    def __init__(self, here: Here, forwarder: Forwarder, parts: Parts, clock: ClusterTime) -> None:
        self._here = here
        self._forwarder = forwarder
        self._parts = parts
        self._clock = clock
        self._cursors: Cursors = parts.cursors

    async def answer(self, request: Request) -> bytes:
        """The reply's body. Raises CommandError."""
        command, who = request.command, request.who
        self._count(command)
        if who is None and not command.spec.public:
            raise unauthorized(f"command {command.name} requires authentication")
        if who is not None:
            _authorize(command, who)
            self._clock.from_client(command.body)
        if command.spec.goes is Goes.HERE or self._here.remembers(command):
            fields = {**await self._here.answer(request), "ok": 1.0}
            return self._forwarder.own(encode_elements(fields))
        if command.spec.goes is Goes.NOWHERE:
            raise needs_mongos(command.name)
        return await self._beyond(request.principal, command)

    def error(self, error: CommandError) -> bytes:
        """The reply's body for a command that failed."""
        return self._forwarder.own(encode_elements(error.document()))

    async def _beyond(self, who: Principal, command: Command) -> bytes:
        if command.name == "getMore":
            return await self._get_more(who, command)
        if command.name == "killCursors":
            return await self._kill_cursors(who, command)
        if command.name == "listCollections":
            command = _narrowed(who, command)
        reply = await self._forwarder.to_owner(who, command)
        await self._after(command, reply)
        return reply

    async def _after(self, command: Command, reply: bytes) -> None:
        """What was changed through us is known to us at once."""
        changes = command.name in _CHANGES_METADATA
        users = command.spec.goes is Goes.CONFIG and command.spec.nature is Nature.DEFINE
        if not (changes or users):
            return
        worked = Document(reply).truth("ok")
        log.event("administered", command=command.name, database=command.database, ok=worked)
        if changes:
            await self._parts.metadata.fresh()
        else:
            await self._parts.users.refresh()

    def _count(self, command: Command) -> None:
        counts = self._parts.counters.commands
        counts[command.name] = counts.get(command.name, 0) + 1

    # Cursors

    async def _get_more(self, who: Principal, command: Command) -> bytes:
        number = command.body.integer("getMore")
        if number is None:
            raise mismatch("getMore", "a cursor id")
        cursor = self._cursors.of(number, who.user)
        if cursor.namespace != command.namespace:
            raise unauthorized(
                f"Requested getMore on namespace '{command.namespace}', but cursor belongs to "
                f"a different namespace {cursor.namespace}"
            )
        answer = await self._forwarder.to_cursor(who, command, cursor)
        batch = answer.document("cursor") if answer.truth("ok") else None
        gone = answer.integer("code") == Code.CursorNotFound
        if gone or (batch is not None and not batch.integer("id")):
            self._cursors.forget(number)
        return self._forwarder.reply(answer)

    async def _kill_cursors(self, who: Principal, command: Command) -> bytes:
        listed = command.body.value("cursors")
        if not isinstance(listed, list) or not all(isinstance(each, int) for each in listed):
            raise mismatch("cursors", "an array of cursor ids")
        unknown, killed = [], []
        for number in map(int, listed):
            try:
                cursor = self._cursors.of(number, who.user)
            except CommandError as error:
                if error.code != Code.CursorNotFound:
                    raise
                unknown.append(number)
                continue
            one = _killing(command, number)
            answer = await self._forwarder.to_cursor(who, one, cursor)
            if not answer.truth("ok"):
                return self._forwarder.reply(answer)
            self._cursors.forget(number)
            killed.append(number)
        return self._forwarder.own(encode_elements(_killed(killed, unknown)))


def _authorize(command: Command, who: Principal) -> None:
    missing = who.rights.missing(command.spec.needs(command, who))
    if missing is not None:
        raise unauthorized(
            f"not authorized on {command.database} to execute command {command.name}: "
            f"needs {_actions(missing)} on {missing.resource}"
        )


def _actions(missing: Need) -> str:
    return " or ".join(", ".join(sorted(option)) for option in missing.options)


def _narrowed(who: Principal, command: Command) -> Command:
    """A listing of collections for one who may see only some of them."""
    rights, database = who.rights, command.database
    if rights.allow(place(database), "listCollections") or rights.allow(place(database), "find"):
        return command
    only = {"name": {"$in": sorted(rights.collections(database, "find"))}}
    given = command.body.value("filter")
    return _with(command, "filter", {"$and": [given, only]} if given else only)


def _killing(command: Command, number: int) -> Command:
    """The same for one cursor alone."""
    return _with(command, "cursors", [Int64(number)])


def _with(command: Command, field: str, value: object) -> Command:
    body = command.body.edited({field}, encode_elements({field: value}))
    return replace(command, body=Document(body))


def _killed(killed: Sequence[int], unknown: Sequence[int]) -> dict[str, object]:
    return {
        "cursorsKilled": [Int64(each) for each in killed],
        "cursorsNotFound": [Int64(each) for each in unknown],
        "cursorsAlive": [],
        "cursorsUnknown": [],
        "ok": 1.0,
    }
