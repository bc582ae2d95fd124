"""MongoDB's users, each with no more rights than it needs.

The cluster's users live on the config servers, where every router looks them up. A shard has an
administrator and a monitoring user of its own beside them, for operators who connect to a member
itself (`rs.status()` on a shard), as MongoDB's documentation advises; the application has no way
in but the routers.
"""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.context import Context
from cluster.plan import Finding, Step, done, todo
from mongo.client import (
    CHANGE_SECONDS,
    MECHANISM,
    QUICK_SECONDS,
    Client,
    set_client,
    unless_silent,
)
from mongo.credentials import ADMIN, APPLICATION, ARCHIVER, MONITOR, Login, internal, login
from mongo.nodes import SetNodes

Document = Mapping[str, Any]


OPLOG_READER = "oplogReader"
# What a service does with its data. It removes no collection and no index: the schema's owner does.
SEGMENT_USER = "segmentUser"
SEGMENT_ACTIONS = (
    "find", "insert", "update", "remove", "createCollection",
    "listCollections", "listIndexes", "collStats", "dbStats", "changeStream",
)  # fmt: skip
Privileges = frozenset[tuple[str, str, str]]  # database, collection, action


@dataclass(frozen=True, order=True)
class Role:
    """A role in a database."""

    name: str
    database: str


@dataclass(frozen=True)
class User:
    """A user as it should be."""

    login: Login
    roles: frozenset[Role]


def cluster_users(context: Context) -> tuple[User, ...]:
    """Who may log in at a router."""
    application = frozenset({Role(SEGMENT_USER, "admin")})
    return (*shard_users(context), User(login(context, APPLICATION), application))


def shard_users(context: Context) -> tuple[User, ...]:
    """Who may log in at a shard's member directly."""
    monitor = frozenset({Role("clusterMonitor", "admin"), Role("read", "local")})
    return (
        User(login(context, ADMIN), frozenset({Role("root", "admin")})),
        User(login(context, MONITOR), monitor),
        *_archiver(context),
    )


def _archiver(context: Context) -> tuple[User, ...]:
    """Who reads the oplog, and nothing else; everything that is written passes there all the same.

    Without backups there is none.
    """
    if not context.topology.mongo.backup.enabled:
        return ()
    return (User(login(context, ARCHIVER), frozenset({Role(OPLOG_READER, "admin")})),)


def cluster_roles(context: Context) -> dict[str, Privileges]:
    """The roles of our own that the cluster's users have, with what each may do."""
    segments = context.topology.mongo.segments
    own = frozenset((segment, "", action) for segment in segments for action in SEGMENT_ACTIONS)
    return {SEGMENT_USER: own, **shard_roles(context)}


def shard_roles(context: Context) -> dict[str, Privileges]:
    """Those that a shard's own users have."""
    if not context.topology.mongo.backup.enabled:
        return {}
    oplog = frozenset({("local", "oplog.rs", "find"), ("local", "system.replset", "find")})
    return {OPLOG_READER: oplog}


def step(context: Context, replica_set: SetNodes) -> Step:
    """The set's users exist, with the passwords and roles that they should have."""
    users = cluster_users(context) if replica_set.holds_config else shard_users(context)
    roles = cluster_roles(context) if replica_set.holds_config else shard_roles(context)
    names = ", ".join(user.login.user for user in users)

    def check() -> Finding:
        with set_client(replica_set, internal(context), seconds=QUICK_SECONDS) as client:
            faults = {**wrong_roles(roles, _stored_roles(client))}
            faults |= shortcomings(users, _stored(client))
        return todo("; ".join(faults.values())) if faults else done(f"{names} as they should be")

    def act() -> None:
        with set_client(replica_set, internal(context), seconds=CHANGE_SECONDS) as client:
            known = _stored_roles(client)
            for name in wrong_roles(roles, known):
                _put_role(client, name, roles[name], exists=name in known)
            stored = _stored(client)
            for user in users:
                if user.login.user in shortcomings(users, stored):
                    _put(client, user, exists=user.login.user in stored)

    return Step(
        name=users_step(replica_set),
        component=replica_set.component,
        what=f"give {replica_set.name} its users {names}",
        check=unless_silent(check),
        act=act,
        needs=(replica_set.step,),
    )


def users_step(replica_set: SetNodes) -> str:
    """The step after which the set's users can log in."""
    return f"users {replica_set.name}"


def shortcomings(users: Sequence[User], stored: Mapping[str, Document]) -> dict[str, str]:
    """What is wrong, by user's name; empty when nothing is.

    `stored` are the users of usersInfo with their credentials, by name.
    """
    wrong = {user.login.user: _shortcoming(user, stored.get(user.login.user)) for user in users}
    return {name: fault for name, fault in wrong.items() if fault}


def _shortcoming(user: User, stored: Document | None) -> str:
    name = user.login.user
    if stored is None:
        return f"no user {name}"
    if frozenset(Role(role["role"], role["db"]) for role in stored["roles"]) != user.roles:
        return f"{name} has other roles"
    credential = stored.get("credentials", {}).get(MECHANISM)
    if credential is None or set(stored["credentials"]) != {MECHANISM}:
        return f"{name} does not log in by {MECHANISM} alone"
    if not matches(user.login.password.get_secret_value(), credential):
        return f"{name} has another password"
    return ""


def matches(password: str, credential: Document) -> bool:
    """Whether a stored SCRAM-SHA-256 credential is this password's (RFC 5802, section 3).

    The password must be ASCII, which SASLprep leaves as it is.
    """
    salt, rounds = b64decode(credential["salt"]), int(credential["iterationCount"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(
        hashlib.sha256(client_key).digest(), b64decode(credential["storedKey"])
    )


def wrong_roles(
    wanted: Mapping[str, Privileges], stored: Mapping[str, Privileges]
) -> dict[str, str]:
    """What is wrong with the roles of our own, by name; `stored` are those that there are."""
    return {
        name: f"role {name} may do something else" if name in stored else f"no role {name}"
        for name, privileges in wanted.items()
        if stored.get(name) != privileges
    }


def _stored_roles(client: Client) -> dict[str, Privileges]:
    answer = client.admin.command({"rolesInfo": 1, "showPrivileges": True})
    return {
        role["role"]: frozenset(
            (each["resource"].get("db", ""), each["resource"].get("collection", ""), action)
            for each in role["privileges"]
            for action in each["actions"]
        )
        for role in answer["roles"]
    }


def _put_role(client: Client, name: str, privileges: Privileges, *, exists: bool) -> None:
    documents = [
        {"resource": {"db": database, "collection": collection}, "actions": [action]}
        for database, collection, action in sorted(privileges)
    ]
    client.admin.command(
        {
            "updateRole" if exists else "createRole": name,
            "privileges": documents,
            "roles": [],
            "writeConcern": {"w": "majority"},
        }
    )


def _stored(client: Client) -> dict[str, Document]:
    answer = client.admin.command({"usersInfo": 1, "showCredentials": True})
    return {user["user"]: user for user in answer["users"]}


def _put(client: Client, user: User, *, exists: bool) -> None:
    roles = [{"role": role.name, "db": role.database} for role in sorted(user.roles)]
    client.admin.command(
        {
            "updateUser" if exists else "createUser": user.login.user,
            "pwd": user.login.password.get_secret_value(),
            "roles": roles,
            "mechanisms": [MECHANISM],
            "writeConcern": {"w": "majority"},
        }
    )
