"""Least privilege: what each built-in role may do through the router, and above all may not."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from mongo.router.authz import (
    ALL_DATABASES,
    ANY_RESOURCE,
    CLUSTER,
    Kind,
    Privilege,
    Resource,
    Rights,
    need,
    parse_privilege,
    parse_resource,
    patterns,
    place,
)
from mongo.router.command import Goes, Principal, UserName
from mongo.router.errors import CommandError
from mongo.router.table import SPECS
from tests.unit.router_samples import A, B, command, principal, user


def _rights(resource: Mapping[str, Any], *actions: str) -> Rights:
    privilege = parse_privilege({"resource": resource, "actions": list(actions)})
    return Rights((privilege,) if privilege else ())


# Resources


@pytest.mark.parametrize(
    ("granted", "target", "allowed"),
    [
        ({"db": "d", "collection": "c"}, place("d", "c"), True),
        ({"db": "d", "collection": "c"}, place("d", "x"), False),
        ({"db": "d", "collection": "c"}, place("d"), False),
        ({"db": "d", "collection": ""}, place("d", "c"), True),
        ({"db": "d", "collection": ""}, place("d"), True),
        ({"db": "d", "collection": ""}, place("x", "c"), False),
        ({"db": "d", "collection": ""}, place("d", "system.users"), False),
        ({"db": "d", "collection": ""}, place("d", "system.buckets.m"), False),
        ({"db": "", "collection": "c"}, place("d", "c"), True),
        ({"db": "", "collection": "c"}, place("local", "c"), True),
        ({"db": "", "collection": "system.js"}, place("d", "system.js"), True),
        ({"db": "", "collection": "c"}, place("d"), False),
        ({"db": "", "collection": ""}, place("d", "c"), True),
        ({"db": "", "collection": ""}, place("d"), True),
        ({"db": "", "collection": ""}, place("d", "system.users"), False),
        ({"db": "", "collection": ""}, place("config", "shards"), False),
        ({"db": "", "collection": ""}, place("local", "oplog.rs"), False),
        ({"db": "", "collection": ""}, place("config"), False),
        ({"db": "", "collection": ""}, CLUSTER, False),
        ({"db": "config", "collection": ""}, place("config", "shards"), True),
        ({"cluster": True}, CLUSTER, True),
        ({"cluster": True}, place("d", "c"), False),
        ({"anyResource": True}, CLUSTER, True),
        ({"anyResource": True}, place("d", "system.users"), True),
        ({"anyResource": True}, place("local", "oplog.rs"), True),
        ({"db": "d", "system_buckets": "m"}, place("d", "system.buckets.m"), True),
        ({"db": "d", "system_buckets": ""}, place("d", "system.buckets.m"), True),
        ({"db": "", "system_buckets": ""}, place("d", "system.buckets.m"), True),
        ({"db": "d", "system_buckets": "m"}, place("d", "m"), False),
        ({"db": "d", "system_buckets": "m"}, place("x", "system.buckets.m"), False),
    ],
)
def test_resources_are_matched_as_mongodb_matches_them(
    granted: Mapping[str, Any], target: Resource, allowed: bool
) -> None:
    assert _rights(granted, "find").allow(target, "find") is allowed


def test_nothing_is_allowed_by_default() -> None:
    nobody = Rights(())
    for target in (place("d", "c"), place("d"), CLUSTER, ANY_RESOURCE, ALL_DATABASES):
        assert not nobody.allow(target, "find")


def test_an_action_is_not_another() -> None:
    rights = _rights({"db": "d", "collection": ""}, "find")
    assert not rights.allow(place("d", "c"), "insert")
    assert not rights.allow(place("d", "c"), "find", "insert")


def test_actions_may_come_from_several_privileges() -> None:
    rights = Rights(
        (
            Privilege(place("d"), frozenset({"find"})),
            Privilege(place("d", "c"), frozenset({"insert"})),
        )
    )
    assert rights.allow(place("d", "c"), "find", "insert")
    assert not rights.allow(place("d", "x"), "find", "insert")


@pytest.mark.parametrize(
    "resource", [{}, {"cluster": False}, {"db": "d"}, {"anyResource": 1}, {"future": True}]
)
def test_resources_of_no_known_kind_give_nothing(resource: Mapping[str, Any]) -> None:
    assert parse_resource(resource) is None
    assert not _rights(resource, "find").allow(place("d", "c"), "find")


@pytest.mark.parametrize(
    "document",
    [
        {"cluster": True},
        {"anyResource": True},
        {"db": "d", "collection": ""},
        {"db": "", "system_buckets": "m"},
    ],
)
def test_resources_are_written_as_they_are_read(document: Mapping[str, Any]) -> None:
    resource = parse_resource(document)
    assert resource is not None
    assert resource.document() == document


def test_no_pattern_reaches_further_than_its_own_kind() -> None:
    assert patterns(CLUSTER) == (ANY_RESOURCE, CLUSTER)
    assert Resource(Kind.BUCKETS, "d", "c") not in patterns(place("d", "c"))


# Commands


def allowed(name: str, fields: Mapping[str, Any], database: str = A, **sequences: Any) -> bool:
    who = principal(name)
    checked = command(fields, database, **sequences)
    return who.rights.missing(checked.spec.needs(checked, who)) is None


INSERT: dict[str, Any] = {"insert": "c", "documents": [{"_id": 1}]}
UPDATE: dict[str, Any] = {"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}
UPSERT: dict[str, Any] = {
    "update": "c",
    "updates": [{"q": {}, "u": {}}, {"q": {}, "u": {}, "upsert": True}],
}
DELETE: dict[str, Any] = {"delete": "c", "deletes": [{"q": {}, "limit": 0}]}
CREATE_USER: dict[str, Any] = {"createUser": "eve", "pwd": "x", "roles": ["root"]}


def pipeline(*stages: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"aggregate": "c", "pipeline": list(stages), "cursor": {}, **more}


@pytest.mark.parametrize("database", [A, B])
@pytest.mark.parametrize(
    "fields",
    [
        {"find": "c"},
        {"count": "c"},
        {"distinct": "c", "key": "a"},
        INSERT,
        UPDATE,
        UPSERT,
        DELETE,
        {"findAndModify": "c", "update": {"$set": {"a": 1}}, "upsert": True},
        {"findAndModify": "c", "remove": True},
        pipeline({"$match": {}}),
        pipeline({"$lookup": {"from": "d", "as": "x", "localField": "a", "foreignField": "a"}}),
        pipeline({"$out": "d"}),
        pipeline({"$merge": "d"}),
        pipeline({"$changeStream": {}}),
        pipeline({"$collStats": {"count": {}}}),
        {"explain": {"find": "c"}},
        {"create": "c"},
        {"create": "v", "viewOn": "c", "pipeline": []},
        {"create": "c", "capped": True, "size": 1000},
        {"createIndexes": "c", "indexes": []},
        {"dropIndexes": "c", "index": "*"},
        {"drop": "c"},
        {"listCollections": 1},
        {"listIndexes": "c"},
        {"collStats": "c"},
        {"dbStats": 1},
    ],
)
def test_the_application_works_on_its_databases(fields: Mapping[str, Any], database: str) -> None:
    assert allowed("application", fields, database)


@pytest.mark.parametrize("database", ["other", "config"])
@pytest.mark.parametrize(
    "fields",
    [
        {"find": "c"},
        {"count": "c"},
        INSERT,
        UPDATE,
        DELETE,
        {"findAndModify": "c", "remove": True},
        pipeline(),
        {"explain": {"find": "c"}},
        {"create": "c"},
        {"createIndexes": "c", "indexes": []},
        {"drop": "c"},
        {"dropDatabase": 1},
        {"listCollections": 1},
        {"listCollections": 1, "nameOnly": True, "authorizedCollections": True},
        {"listIndexes": "c"},
        {"collStats": "c"},
        {"dbStats": 1},
        {"collMod": "c"},
    ],
)
def test_the_application_stays_out_of_other_databases(
    fields: Mapping[str, Any], database: str
) -> None:
    assert not allowed("application", fields, database)


@pytest.mark.parametrize(
    ("fields", "database"),
    [
        ({"dropDatabase": 1}, A),
        ({"collMod": "c", "validator": {}}, A),
        ({"validate": "c"}, A),
        ({**INSERT, "bypassDocumentValidation": True}, A),
        ({**UPDATE, "bypassDocumentValidation": True}, A),
        (pipeline({"$out": "d"}, bypassDocumentValidation=True), A),
        ({"find": "system.users"}, "admin"),
        ({"find": "system.profile"}, A),
        ({"insert": "system.views", "documents": [{"_id": 1}]}, A),
        (pipeline({"$out": {"db": "other", "coll": "x"}}), A),
        (pipeline({"$merge": {"into": {"db": "admin", "coll": "system.users"}}}), A),
        (pipeline({"$unionWith": "system.profile"}), A),
        ({"create": "v", "viewOn": "system.profile", "pipeline": []}, A),
        (
            {
                "create": "v",
                "viewOn": "c",
                "pipeline": [{"$unionWith": {"coll": "system.profile"}}],
            },
            A,
        ),
        ({"renameCollection": f"{A}.c", "to": "other.c"}, "admin"),
        ({"renameCollection": "other.c", "to": f"{A}.c"}, "admin"),
        (CREATE_USER, "admin"),
        (CREATE_USER, A),
        ({"updateUser": "application", "pwd": "x"}, "admin"),
        ({"updateUser": "admin", "pwd": "x"}, "admin"),
        ({"updateUser": "application", "roles": ["root"]}, "admin"),
        ({"updateUser": "application"}, "admin"),
        ({"dropUser": "admin"}, "admin"),
        ({"dropAllUsersFromDatabase": 1}, "admin"),
        ({"grantRolesToUser": "application", "roles": ["root"]}, "admin"),
        ({"revokeRolesFromUser": "admin", "roles": ["root"]}, "admin"),
        ({"usersInfo": 1}, "admin"),
        ({"usersInfo": "admin"}, "admin"),
        ({"usersInfo": {"forAllDBs": True}}, "admin"),
        ({"usersInfo": [{"user": "application", "db": "admin"}, "admin"]}, "admin"),
        ({"rolesInfo": 1}, "admin"),
        ({"createRole": "r", "roles": [], "privileges": []}, "admin"),
        ({"addShard": "x/y:1"}, "admin"),
        ({"removeShard": "shard-a"}, "admin"),
        ({"enableSharding": A}, "admin"),
        ({"listShards": 1}, "admin"),
        ({"getShardMap": 1}, "admin"),
        ({"balancerStop": 1}, "admin"),
        ({"balancerStatus": 1}, "admin"),
        ({"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}}, "admin"),
        ({"getDefaultRWConcern": 1}, "admin"),
        ({"serverStatus": 1}, "admin"),
        ({"getParameter": "*"}, "admin"),
        ({"getCmdLineOpts": 1}, "admin"),
        ({"getLog": "global"}, "admin"),
        ({"hostInfo": 1}, "admin"),
        ({"flushRouterConfig": 1}, "admin"),
        ({"invalidateUserCache": 1}, "admin"),
    ],
)
def test_the_application_may_no_more_than_it_needs(
    fields: Mapping[str, Any], database: str
) -> None:
    assert not allowed("application", fields, database)


def test_an_upsert_inserts() -> None:
    updater = Principal(UserName("u", "admin"), _rights({"db": A, "collection": ""}, "update"))
    for fields, missing in ((UPDATE, False), (UPSERT, True)):
        checked = command(fields)
        wanted = checked.spec.needs(checked, updater)
        assert (updater.rights.missing(wanted) is not None) is missing
    batch = command({"update": "c"}, updates=[{"q": {}, "u": {}}, {"q": {}, "u": {}, "upsert": 1}])
    assert updater.rights.missing(batch.spec.needs(batch, updater)) is not None


def test_the_application_renames_within_a_database() -> None:
    assert allowed("application", {"renameCollection": f"{A}.c", "to": f"{A}.d"}, "admin")


def test_one_may_look_at_oneself() -> None:
    assert allowed("application", {"usersInfo": "application"}, "admin")
    assert allowed("application", {"usersInfo": {"user": "application", "db": "admin"}}, "admin")


@pytest.mark.parametrize(
    ("fields", "database"),
    [
        ({"serverStatus": 1}, "admin"),
        ({"listShards": 1}, "admin"),
        ({"getShardMap": 1}, "admin"),
        ({"getDefaultRWConcern": 1}, "admin"),
        ({"getCmdLineOpts": 1}, "admin"),
        ({"balancerStatus": 1}, "admin"),
        ({"find": "shards"}, "config"),
        ({"listCollections": 1}, "config"),
        ({"dbStats": 1}, A),
        ({"collStats": "c"}, A),
        (pipeline({"$collStats": {"count": {}}}), A),
        (pipeline({"$indexStats": {}}), A),
    ],
)
def test_the_monitor_looks(fields: Mapping[str, Any], database: str) -> None:
    assert allowed("monitor", fields, database)


@pytest.mark.parametrize("database", [A, "admin", "config"])
@pytest.mark.parametrize(
    "fields",
    [
        INSERT,
        UPDATE,
        DELETE,
        {"findAndModify": "c", "remove": True},
        {"create": "c"},
        {"createIndexes": "c", "indexes": []},
        {"drop": "c"},
        {"dropDatabase": 1},
        {"collMod": "c"},
        pipeline({"$out": "d"}),
        pipeline({"$merge": {"into": "d", "whenMatched": "fail", "whenNotMatched": "insert"}}),
        CREATE_USER,
        {"dropUser": "application"},
    ],
)
def test_the_monitor_changes_nothing(fields: Mapping[str, Any], database: str) -> None:
    assert not allowed("monitor", fields, database)


def test_the_monitor_reads_no_data() -> None:
    assert not allowed("monitor", {"find": "c"})
    assert not allowed("monitor", {"find": "system.users"}, "admin")


@pytest.mark.parametrize("fields", [INSERT, UPDATE, DELETE, {"drop": "c"}, pipeline({"$out": "d"})])
def test_a_reader_reads(fields: Mapping[str, Any]) -> None:
    assert allowed("reader", {"find": "c"})
    assert allowed("reader", pipeline({"$unionWith": {"coll": "d", "pipeline": []}}))
    assert not allowed("reader", fields)
    assert not allowed("reader", {"find": "c"}, B)


def test_a_reader_of_everything_reads_no_internals() -> None:
    assert allowed("read_any", {"find": "c"}, "anything")
    assert not allowed("read_any", {"find": "shards"}, "config")
    assert not allowed("read_any", {"find": "system.users"}, "admin")
    assert not allowed("read_any", INSERT)


def test_a_database_administrator_does_not_read() -> None:
    assert allowed("db_admin", {"dropDatabase": 1})
    assert allowed("db_admin", {"collMod": "c", "validator": {}})
    assert allowed("db_admin", {"create": "v", "viewOn": "secret", "pipeline": []})
    assert not allowed("db_admin", {"find": "c"})
    assert not allowed("db_admin", CREATE_USER)


def test_an_administrator_of_users_makes_users_of_his_database_alone() -> None:
    local = {"createUser": "u", "pwd": "x", "roles": ["read"]}
    assert allowed("user_admin", local)
    assert not allowed("user_admin", local, B)
    foreign = {"createUser": "u", "pwd": "x", "roles": [{"role": "root", "db": "admin"}]}
    assert not allowed("user_admin", foreign)
    cluster = {"resource": {"cluster": True}, "actions": ["addShard"]}
    assert not allowed("user_admin", {"createRole": "r", "roles": [], "privileges": [cluster]})
    here = {"resource": {"db": A, "collection": ""}, "actions": ["find"]}
    assert allowed("user_admin", {"createRole": "r", "roles": [], "privileges": [here]})
    anything = {"resource": {"db": "", "collection": ""}, "actions": ["find"]}
    assert not allowed("user_admin", {"grantPrivilegesToRole": "r", "privileges": [anything]})


@pytest.mark.parametrize(
    "fields",
    [
        {"addShard": "x/y:1"},
        {"enableSharding": A, "primaryShard": "shard-a"},
        {"balancerStop": 1},
        {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}},
        {"removeShard": "x"},
    ],
)
def test_a_cluster_administrator_administers(fields: Mapping[str, Any]) -> None:
    assert allowed("cluster_admin", fields, "admin")
    assert not allowed("cluster_admin", CREATE_USER, "admin")
    assert not allowed("cluster_admin", {"find": "c"})


@pytest.mark.parametrize("name", ["root", "internal"])
def test_root_may_everything_but_internals(name: str) -> None:
    for fields in (INSERT, UPSERT, DELETE, {"dropDatabase": 1}, {"find": "c"}):
        assert allowed(name, fields)
    for fields in ({"addShard": "x/y:1"}, {"serverStatus": 1}, CREATE_USER):
        assert allowed(name, fields, "admin")
    assert allowed(name, {**INSERT, "bypassDocumentValidation": True})


def test_a_narrow_role() -> None:
    assert allowed("narrow", {"find": "users"})
    assert not allowed("narrow", {"find": "others"})
    assert not allowed("narrow", {"insert": "users", "documents": []})
    assert allowed("narrow", {"insert": "logs", "documents": []}, "anything")
    assert not allowed("narrow", {"find": "logs"}, "anything")
    assert not allowed("narrow", {"listCollections": 1})
    mine = {"listCollections": 1, "nameOnly": True, "authorizedCollections": True}
    assert allowed("narrow", mine)
    assert not allowed("narrow", mine, B)
    assert principal("narrow").rights.collections(A, "find") == {"users"}


def test_authentication_restrictions() -> None:
    narrow = user("narrow")
    assert narrow.may_come_from("127.0.0.1", "127.81.51.1")
    assert not narrow.may_come_from("127.0.0.2", "127.81.51.1")  # the user's own
    assert not narrow.may_come_from("10.0.0.1", "127.81.51.1")
    assert not narrow.may_come_from("127.0.0.1", "127.81.51.2")  # the role's
    assert user("root").may_come_from("10.0.0.1", "127.81.51.2")


def test_every_command_that_others_answer_asks_for_a_right() -> None:
    """Of those that pass without one, each is narrowed elsewhere: by cursor, session or list."""
    nobody = Rights(())
    free = {"getMore", "killCursors", "commitTransaction", "abortTransaction"}
    for spec in SPECS:
        if spec.goes in {Goes.HERE, Goes.NOWHERE}:
            continue
        fields = {spec.name: "c", **EXTRA.get(spec.name, {})}
        if spec.name == "explain":
            fields["explain"] = {"find": "c"}
        if spec.name in {"getMore"}:
            fields["getMore"] = 1
        checked = command(fields, "admin" if spec.admin_only else A)
        who = type(principal("root"))(UserName("nobody", "admin"), nobody)
        missing = nobody.missing(checked.spec.needs(checked, who))
        assert (missing is None) == (spec.name in free), spec.name


EXTRA: dict[str, dict[str, Any]] = {
    "aggregate": {"pipeline": [], "cursor": {}},
    "getMore": {"collection": "c"},
    "renameCollection": {"renameCollection": f"{A}.c", "to": f"{A}.d"},
    "grantRolesToUser": {"roles": ["read"]},
    "revokeRolesFromUser": {"roles": ["read"]},
    "grantRolesToRole": {"roles": ["read"]},
    "revokeRolesFromRole": {"roles": ["read"]},
    "grantPrivilegesToRole": {
        "privileges": [{"resource": {"db": A, "collection": ""}, "actions": ["find"]}]
    },
    "revokePrivilegesFromRole": {
        "privileges": [{"resource": {"db": A, "collection": ""}, "actions": ["find"]}]
    },
}


@pytest.mark.parametrize(
    "name", ["grantRolesToUser", "revokeRolesFromRole", "grantPrivilegesToRole"]
)
def test_naming_no_role_is_no_way_round(name: str) -> None:
    """The config servers refuse it anyway; here it must not pass as needing nothing."""
    for roles in ([], None):
        fields = {name: "x"} if roles is None else {name: "x", "roles": roles, "privileges": roles}
        with suppress(CommandError):
            assert not allowed("application", fields, "admin")


def test_needs_are_remembered_but_bounded() -> None:
    rights = _rights({"db": "d", "collection": ""}, "find")
    for number in range(10_050):
        rights.meet(need(place("d", f"c{number}"), "find"))
    assert len(rights._known) < 10_050
