"""Commands and users for tests of the router's decisions."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import bson
from bson import Binary
from bson.binary import UUID_SUBTYPE

from mongo.router.authz import EVERYTHING, Rights
from mongo.router.command import Command, Principal, UserName
from mongo.router.document import Document
from mongo.router.metadata import Catalog, parse_catalog
from mongo.router.parse import parse_message
from mongo.router.users import User, parse_user
from mongo.router.wire import Message, Sequence

SESSION = {"id": Binary(b"0123456789abcdef", UUID_SUBTYPE)}
A, B = "users_skills", "sessions_messages"
# What usersInfo of a real config server said of users with the built-in roles.
CAPTURED = Path(__file__).with_name("router_users.json")


def command(
    fields: Mapping[str, Any], database: str = A, **sequences: list[Mapping[str, Any]]
) -> Command:
    """The checked command of these fields."""
    body = Document(bson.encode({**fields, "$db": database}))
    sent = tuple(
        Sequence(name, memoryview(b"".join(map(bson.encode, items))), len(items))
        for name, items in sequences.items()
    )
    return parse_message(Message(0, body, sent))


def in_transaction(fields: Mapping[str, Any], database: str = A, number: int = 1) -> Command:
    """A statement of a transaction after the first."""
    session = {"lsid": SESSION, "txnNumber": bson.Int64(number), "autocommit": False}
    return command({**fields, **session}, database)


def first_statement(fields: Mapping[str, Any], database: str = A, number: int = 1) -> Command:
    """A transaction's first statement."""
    session = {
        "lsid": SESSION,
        "txnNumber": bson.Int64(number),
        "autocommit": False,
        "startTransaction": True,
    }
    return command({**fields, **session}, database)


def numbered(fields: Mapping[str, Any], database: str = A) -> Command:
    """A retryable write."""
    return command({**fields, "lsid": SESSION, "txnNumber": bson.Int64(1)}, database)


@cache
def user(name: str) -> User:
    """A captured user."""
    return parse_user(json.loads(CAPTURED.read_text("utf-8"))[name])


def principal(name: str) -> Principal:
    """A captured user as the sender of commands; `internal` is the cluster's own."""
    if name == "internal":
        return Principal(UserName("__system", "local"), Rights((EVERYTHING,)))
    return Principal(user(name).name, user(name).rights)


def catalog(**changes: Any) -> Catalog:
    """Two shards, a segment on each, one sharded collection."""
    version = {
        "uuid": Binary(b"u" * 16, UUID_SUBTYPE),
        "timestamp": bson.Timestamp(1, 1),
        "lastMod": 1,
    }
    rows: dict[str, list[Mapping[str, Any]]] = {
        "shards": [
            {"_id": "shard-a", "host": "shard-a/a1:27018,a2:27018"},
            {"_id": "shard-b", "host": "shard-b/b1:27018"},
        ],
        "databases": [
            {"_id": A, "primary": "shard-a", "version": version},
            {"_id": B, "primary": "shard-b", "version": version},
            {"_id": "lost", "primary": "shard-z", "version": version},
        ],
        "collections": [
            {"_id": "config.system.sessions"},
            {"_id": f"{A}.spread"},
            {"_id": f"{A}.tracked", "unsplittable": True},
        ],
        "settings": [{"_id": "balancer", "stopped": True}],
        **changes,
    }
    return parse_catalog(rows["shards"], rows["databases"], rows["collections"], rows["settings"])
