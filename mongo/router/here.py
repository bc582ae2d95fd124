"""What the router answers itself: the handshake, who it is and how it does."""

import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import psutil
from bson import Int64

from mongo.router import about, across, translate
from mongo.router.about import SESSION_MINUTES
from mongo.router.command import Command
from mongo.router.concerns import MAJORITY
from mongo.router.document import Document
from mongo.router.errors import CommandError
from mongo.router.metadata import CONFIG_SET
from mongo.router.request import Fields, Parts, Request
from mongo.router.scram import MECHANISM
from mongo.router.users import Unavailable
from mongo.router.wire import MAX_MESSAGE_BYTES

PROCESS = "segment router"
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_BATCH = 100_000
REMEMBERED = "getDefaultRWConcern"
OLDEST_WIRE_VERSION = 13  # MongoDB 5.0's, said while no server has been seen


class Here:
    """The router's own answers, by command."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._version = "0.0.0"
        self._answers: Mapping[str, Callable[[Request], Awaitable[Fields]]] = {
            "hello": self._hello,
            "isMaster": self._is_master,
            "ping": about.nothing,
            "buildInfo": self._build_info,
            "saslStart": self._sasl_start,
            "saslContinue": self._sasl_continue,
            "logout": about.logout,
            "connectionStatus": self._connection_status,
            "whatsmyuri": about.whatsmyuri,
            "listCommands": about.list_commands,
            "endSessions": self._end_sessions,
            "startSession": about.start_session,
            "refreshSessions": about.nothing,
            "replSetGetStatus": about.repl_set_get_status,
            "listShards": lambda _request: across.list_shards(parts),
            "listDatabases": lambda request: across.list_databases(parts, request),
            "serverStatus": self._server_status,
            "getParameter": about.get_parameter,
            "getCmdLineOpts": about.get_command_line,
            "getLog": about.get_log,
            "hostInfo": about.host_info,
            "flushRouterConfig": self._flush,
            REMEMBERED: self._defaults,
            "invalidateUserCache": self._invalidate_users,
        }

    def remembers(self, command: Command) -> bool:
        """Whether a command for the config servers asks for what we know of its answer."""
        return command.name == REMEMBERED and command.body.truth("inMemory")

    async def answer(self, request: Request) -> Fields:
        """The reply's fields, without `ok`. Raises CommandError."""
        return await self._answers[request.command.name](request)

    # Handshake

    async def _hello(self, request: Request) -> Fields:
        return {"isWritablePrimary": True, **await self._greeting(request)}

    async def _is_master(self, request: Request) -> Fields:
        greeting = await self._greeting(request)
        if request.body.truth("helloOk"):
            greeting["helloOk"] = True
        return {"ismaster": True, **greeting}

    async def _greeting(self, request: Request) -> Fields:
        body = request.body
        answer: Fields = {
            "msg": "isdbgrid",
            "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
            "maxMessageSizeBytes": MAX_MESSAGE_BYTES,
            "maxWriteBatchSize": MAX_BATCH,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": SESSION_MINUTES,
            "connectionId": request.connection,
            "minWireVersion": 0,
            "maxWireVersion": self._parts.backends.wire_version or OLDEST_WIRE_VERSION,
            "readOnly": False,
        }
        asked = body.text("saslSupportedMechs")
        if asked is not None:
            answer["saslSupportedMechs"] = await self._parts.authentication.mechanisms(asked)
        speculative = body.document("speculativeAuthenticate")
        if speculative is not None and speculative.text("mechanism") == MECHANISM:
            await self._speculate(request, speculative, answer)
        return answer

    async def _speculate(self, request: Request, start: Document, answer: Fields) -> None:
        """Save the client a round trip; what fails here, fails again and is told at saslStart."""
        try:
            answer["speculativeAuthenticate"] = await self._parts.authentication.begin(
                request.identity, start, start.text("db") or "admin"
            )
        except CommandError:
            return

    async def _sasl_start(self, request: Request) -> Fields:
        return await self._parts.authentication.start(request.identity, request.command)

    async def _sasl_continue(self, request: Request) -> Fields:
        return await self._parts.authentication.go_on(request.identity, request.command)

    # About the router

    async def _build_info(self, request: Request) -> Fields:
        del request
        if self._version == "0.0.0":
            try:
                asked = await self._parts.backends.ask(
                    CONFIG_SET, {"buildInfo": 1, "$db": "admin"}, translate.NEAREST
                )
                self._version = asked.text("version") or self._version
            except Unavailable:
                pass
        numbers = [int(part) for part in self._version.split("-")[0].split(".")]
        return {
            "version": self._version,
            "versionArray": [*numbers, 0][:4],
            "gitVersion": "",
            "modules": [],
            "bits": 64,
            "debug": False,
            "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
            # By this a client tells us from mongos.
            "segmentRouter": True,
        }

    async def _connection_status(self, request: Request) -> Fields:
        who = request.who
        user = self._parts.users.known(who.user) if who else None
        info: Fields = {
            "authenticatedUsers": [{"user": who.user.name, "db": who.user.database}] if who else [],
            "authenticatedUserRoles": [dict(role) for role in user.roles] if user else [],
        }
        if request.body.truth("showPrivileges"):
            info["authenticatedUserPrivileges"] = [
                {"resource": each.resource.document(), "actions": sorted(each.actions)}
                for each in (user.rights.privileges if user else ())
            ]
        return {"authInfo": info}

    async def _server_status(self, request: Request) -> Fields:
        del request
        parts = self._parts
        counters = parts.counters
        uptime = time.monotonic() - counters.began
        return {
            "host": socket.gethostname(),
            "version": self._version,
            "process": PROCESS,
            "pid": Int64(os.getpid()),
            "uptime": uptime,
            "uptimeMillis": Int64(int(uptime * 1000)),
            "localTime": datetime.now(UTC),
            "connections": {
                "current": counters.connections,
                "available": parts.max_connections - counters.connections,
                "totalCreated": Int64(counters.connections_made),
                "rejected": counters.refused,
            },
            "mem": {
                "bits": 64,
                "resident": psutil.Process().memory_info().rss // 1024**2,
                "supported": True,
            },
            "metrics": {"commands": dict(sorted(counters.commands.items()))},
            "segmentRouter": {
                "cursors": len(parts.cursors),
                "transactions": len(parts.transactions),
                "retries": parts.retries(),
                "backendConnections": parts.backends.connections,
                "metadataKnown": parts.metadata.known,
            },
        }

    async def _end_sessions(self, request: Request) -> Fields:
        """Forget the sessions here; the shards' own clean-up ends them there."""
        if request.who is None:
            return {}
        for lsid in request.body.documents("endSessions"):
            identity = lsid.value("id")
            if isinstance(identity, bytes):
                self._parts.transactions.end(request.who.user, bytes(identity))
        return {}

    async def _flush(self, request: Request) -> Fields:
        del request
        await self._parts.metadata.fresh()
        return {"flushed": True}

    async def _defaults(self, request: Request) -> Fields:
        """As mongos answers to `inMemory`: what writes and reads get from us now."""
        del request
        defaults = self._parts.metadata.catalog.defaults
        kinds = {"Write": (defaults.write, MAJORITY), "Read": (defaults.read, {"level": "local"})}
        answer: Fields = {"inMemory": True}
        for kind, (chosen, implicit) in kinds.items():
            source = "implicit" if chosen is None else "global"
            answer[f"default{kind}Concern"] = dict(chosen or implicit)
            answer[f"default{kind}ConcernSource"] = source
        return answer

    async def _invalidate_users(self, request: Request) -> Fields:
        del request
        await self._parts.users.refresh()
        return {}
