"""From a client's command to the one that a server behind gets. Pure.

Most commands pass as they are, with the session made the user's own, the cluster's defaults, and
the versions by which a shard checks that we are right. A few have another name between mongos and
a shard or the config servers.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from bson import Binary
from bson.binary import UUID_SUBTYPE
from pymongo.errors import ConfigurationError
from pymongo.read_preferences import (
    Nearest,
    Primary,
    _ServerMode,
    make_read_preference,
    read_pref_mode_from_name,
)

from mongo.router.command import Command, Goes, Nature, UserName
from mongo.router.concerns import MAJORITY, Defaults, edit, put
from mongo.router.config import Limits
from mongo.router.document import Document, encode, encode_elements
from mongo.router.errors import Code, CommandError
from mongo.router.metadata import CENTRAL
from mongo.router.rights import split_namespace

PREFERENCE = "$readPreference"
PRIMARY, NEAREST = Primary(), Nearest()
# Fields of a server's answer that are between servers.
BETWEEN_SERVERS = frozenset(
    {
        "$clusterTime",
        "$configTime",
        "$gleStats",
        "$replData",
        "$topologyTime",
        "electionId",
        "lastCommittedOpTime",
        "opTime",
        "topologyVersion",
    }
)
_REPLACED = frozenset({"lsid", "$clusterTime"})
_KEPT = ("comment", "maxTimeMS")
_RENAMED = {"primaryShard": "primaryShardId"}


def outgoing(command: Command, user: UserName, defaults: Defaults, more: bytes) -> bytes:
    """The command for the server; `more` are elements to append. Raises CommandError."""
    if has_internal_form(command):
        return _internal(command, user, more)
    central = command.spec.goes is Goes.CONFIG and command.spec.write_concern
    concerns = put("writeConcern", _majority(command)) if central else edit(command, defaults)
    drop = _REPLACED | concerns.drop
    if not reads_anywhere(command):
        drop |= {PREFERENCE}
    return command.body.edited(drop, concerns.append + _session(command, user) + more)


def has_internal_form(command: Command) -> bool:
    """Whether the server behind has another command for it; not for config servers' own data."""
    central = command.spec.goes is Goes.OWNER and command.database in CENTRAL
    return command.spec.internal_name is not None and not central


def _internal(command: Command, user: UserName, more: bytes) -> bytes:
    """mongos's own command to a shard or to the config servers, which wants a majority."""
    spec, body = command.spec, command.body
    fields = {str(spec.internal_name): _subject(command), **_arguments(command)}
    if spec.write_concern:
        fields["writeConcern"] = _majority(command)
    fields["$db"] = command.database
    kept = b"".join(body.bytes_of(name) for name in _KEPT)
    return Document(encode(fields)).edited((), kept + _session(command, user) + more)


def _majority(command: Command) -> Mapping[str, Any]:
    """What is administered waits for a majority, as long as the client's patience lasts."""
    given = command.body.document("writeConcern")
    return {**MAJORITY, "wtimeout": (given.integer("wtimeout") or 0) if given else 0}


def _subject(command: Command) -> Any:
    """The value of the command's first field."""
    if command.name == "renameCollection":
        return split_namespace(command.body, command.argument)[1]
    return command.body.value(command.argument)


def _arguments(command: Command) -> dict[str, Any]:
    body = command.body
    known = sorted(command.spec.fields or ())
    return {_RENAMED.get(name, name): body.value(name) for name in known if name in body}


def _session(command: Command, user: UserName) -> bytes:
    """The session as the user's own, so that nobody else's lsid reaches it on the shard."""
    if command.session is None:
        return b""
    identity = Binary(command.session.id, UUID_SUBTYPE)
    return encode_elements({"lsid": {"id": identity, "uid": _digest(user)}})


@lru_cache(1024)
def _digest(user: UserName) -> bytes:
    """MongoDB's digest of a user's name, which makes sessions of two users two sessions."""
    return hashlib.sha256(str(user).encode()).digest()


def reads_anywhere(command: Command) -> bool:
    """Whether a read preference may send the command elsewhere than to the primary."""
    return (
        command.spec.goes is Goes.OWNER
        and command.spec.nature is Nature.READ
        and not command.writes
        and not command.in_transaction
    )


def preference(command: Command) -> _ServerMode:
    """The servers that may answer. Raises CommandError for a preference of no sense."""
    given = command.body.document(PREFERENCE)
    if given is None:
        return PRIMARY
    fields = given.decoded()
    try:
        wanted = make_read_preference(
            read_pref_mode_from_name(str(fields.get("mode", "primary"))),
            fields.get("tags"),
            fields.get("maxStalenessSeconds", -1),
        )
    except (ConfigurationError, ValueError, TypeError) as error:
        raise CommandError(Code.FailedToParse, f"{PREFERENCE}: {error}") from error
    if command.in_transaction and wanted != PRIMARY:
        raise CommandError(Code.InvalidOptions, "Read preference in a transaction must be primary")
    return wanted if reads_anywhere(command) else PRIMARY


def answer_seconds(command: Command, limits: Limits) -> float:
    """How long to wait for a server's answer."""
    usual = limits.definition if command.spec.nature is Nature.DEFINE else limits.command
    asked = command.max_time_ms / 1000 + limits.margin if command.max_time_ms else 0.0
    if command.name == "getMore":  # there it is how long to wait for news
        return max(usual, asked)
    concern = command.body.document("writeConcern")
    wait = (concern.integer("wtimeout") or 0) / 1000 if concern else 0.0
    return asked or max(usual, wait + limits.margin)


def selection_seconds(command: Command, limits: Limits) -> float:
    """How long to look for a server before the command is not sent."""
    if command.max_time_ms and command.name != "getMore":
        return min(limits.selection, command.max_time_ms / 1000)
    return limits.selection
