"""The cluster-wide default read and write concern, put on commands that carry none.

Shards do not apply the cluster's default themselves: it is the router's task. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mongo.router.command import Command, Nature
from mongo.router.document import Document, encode_elements, mismatch
from mongo.router.errors import Code, CommandError

SETTING = "ReadWriteConcernDefaults"  # _id in config.settings
WRITE_FIELDS = frozenset({"w", "j", "wtimeout", "fsync"})
READ_FIELDS = frozenset({"level", "afterClusterTime", "atClusterTime"})
MAJORITY: Mapping[str, Any] = {"w": "majority", "wtimeout": 0}


@dataclass(frozen=True)
class Defaults:
    """What setDefaultRWConcern set; without it a write waits for the majority."""

    write: Mapping[str, Any] | None = None
    read: Mapping[str, Any] | None = None


def parse_defaults(document: Mapping[str, Any] | None) -> Defaults:
    """The defaults of the document in config.settings; None where nobody has set any."""
    found = document or {}
    return Defaults(found.get("defaultWriteConcern"), found.get("defaultReadConcern"))


@dataclass(frozen=True)
class Edit:
    """Fields to drop from a command, and elements to append."""

    drop: frozenset[str] = frozenset()
    append: bytes = b""


def edit(command: Command, defaults: Defaults) -> Edit:
    """What makes the command carry the defaults. Raises CommandError for a concern of no sense."""
    write, read = _write(command, defaults), _read(command, defaults)
    return Edit(write.drop | read.drop, write.append + read.append)


def _write(command: Command, defaults: Defaults) -> Edit:
    if not _takes_write_concern(command):
        return Edit()
    given = _given(command, "writeConcern", WRITE_FIELDS)
    default = defaults.write or MAJORITY
    source = "customDefault" if defaults.write else "implicitDefault"
    if given is None:
        return put("writeConcern", {**default, "provenance": source})
    if "w" not in given:
        return put("writeConcern", {**given.decoded(), "w": default["w"]})
    if given.value("w") == 0:
        # A shard says nothing of an error to who asks for no acknowledgement, not even to us.
        return put("writeConcern", {"w": 1})
    return Edit()


def _takes_write_concern(command: Command) -> bool:
    spec = command.spec
    if command.in_transaction:
        return command.name in {"commitTransaction", "abortTransaction"}
    return spec.write_concern and (spec.nature is not Nature.READ or command.writes)


def _read(command: Command, defaults: Defaults) -> Edit:
    session = command.session
    starts = session is not None and session.starts
    reads = command.spec.read_concern and not command.writes
    takes = starts if command.in_transaction else reads
    given = _given(command, "readConcern", READ_FIELDS)
    if not takes or defaults.read is None or (given is not None and "level" in given):
        return Edit()
    fields = given.decoded() if given else {}
    return put("readConcern", {**fields, **defaults.read, "provenance": "customDefault"})


def _given(command: Command, name: str, known: frozenset[str]) -> Document | None:
    if name not in command.body:
        return None
    given = command.body.document(name)
    if given is None:
        raise mismatch(name, "an object")
    for field in given:
        if field not in known:
            raise CommandError(
                Code.FailedToParse, f"BSON field '{name}.{field}' is an unknown field."
            )
    return given


def put(name: str, value: Mapping[str, Any]) -> Edit:
    """A field in place of the client's."""
    return Edit(frozenset({name}), encode_elements({name: value}))
