"""Where commands go, as the catalog has it."""

from collections.abc import Mapping
from typing import Any

import pytest

from mongo.router.document import Document, encode
from mongo.router.errors import Code, CommandError
from mongo.router.metadata import CONFIG_SET
from mongo.router.routing import Route, Unknown, empty, route
from tests.unit.router_samples import A, B, catalog, command, first_statement, in_transaction


def _route(fields: Mapping[str, Any], database: str = A) -> Route | Unknown:
    return route(command(fields, database), catalog())


def _set(fields: Mapping[str, Any], database: str = A) -> str:
    found = _route(fields, database)
    assert isinstance(found, Route)
    return found.replica_set


def _code(fields: Mapping[str, Any], database: str = A) -> int:
    with pytest.raises(CommandError) as raised:
        _route(fields, database)
    return raised.value.code


def _versions(found: Route | Unknown) -> set[str]:
    assert isinstance(found, Route)
    return set(Document(Document(encode({})).edited((), found.versions)))


@pytest.mark.parametrize(("database", "shard"), [(A, "shard-a"), (B, "shard-b")])
def test_to_the_owner_of_the_database(database: str, shard: str) -> None:
    found = _route({"find": "c"}, database)
    assert isinstance(found, Route)
    assert found.replica_set == shard
    assert _versions(found) == {"databaseVersion", "shardVersion"}


def test_what_is_about_a_whole_database_has_no_version_of_a_collection() -> None:
    for fields in ({"listCollections": 1}, {"dbStats": 1}, {"create": "c"}, {"drop": "c"}):
        assert _versions(_route(fields)) == {"databaseVersion"}


def test_explain_carries_no_versions() -> None:
    assert _versions(_route({"explain": {"find": "c"}})) == set()


@pytest.mark.parametrize("database", ["admin", "config"])
def test_to_the_config_servers(database: str) -> None:
    assert _set({"find": "c"}, database) == CONFIG_SET
    assert _versions(_route({"find": "c"}, database)) == set()


def test_users_and_cluster_go_to_the_config_servers() -> None:
    assert _set({"createUser": "u", "pwd": "p", "roles": []}, A) == CONFIG_SET
    assert _set({"addShard": "x/y:1"}, "admin") == CONFIG_SET


@pytest.mark.parametrize(
    ("fields", "create"),
    [
        ({"find": "c"}, False),
        ({"insert": "c", "documents": []}, True),
        ({"update": "c", "updates": []}, True),
        ({"delete": "c", "deletes": []}, True),
        ({"findAndModify": "c", "remove": True}, True),
        ({"create": "c"}, True),
        ({"createIndexes": "c", "indexes": []}, True),
        ({"drop": "c"}, False),
        ({"dropDatabase": 1}, False),
    ],
)
def test_a_database_that_nobody_owns(fields: Mapping[str, Any], create: bool) -> None:
    assert _route(fields, "new") == Unknown("new", create)


def test_a_shard_that_is_gone() -> None:
    assert _code({"find": "c"}, "lost") == Code.ShardNotFound


@pytest.mark.parametrize(
    "fields",
    [
        {"find": "spread"},
        {"insert": "spread", "documents": []},
        {"drop": "spread"},
        {"createIndexes": "spread", "indexes": []},
        {"aggregate": "spread", "pipeline": [], "cursor": {}},
        {"aggregate": "c", "pipeline": [{"$unionWith": "spread"}], "cursor": {}},
        {"aggregate": "c", "pipeline": [{"$out": "spread"}], "cursor": {}},
        {"explain": {"find": "spread"}},
        {"dropDatabase": 1},
    ],
)
def test_sharded_collections_need_mongos(fields: Mapping[str, Any]) -> None:
    assert _code(fields) == Code.CommandNotSupported


def test_renaming_to_a_sharded_collection_needs_mongos() -> None:
    fields = {"renameCollection": f"{A}.c", "to": f"{A}.spread"}
    assert _code(fields, "admin") == Code.CommandNotSupported


def test_sessions_are_sharded() -> None:
    assert _code({"find": "system.sessions"}, "config") == Code.CommandNotSupported


def test_a_collection_that_is_only_tracked_is_not_sharded() -> None:
    assert _set({"find": "tracked"}) == "shard-a"


@pytest.mark.parametrize("database", [B, "new"])
def test_what_spans_shards_needs_mongos(database: str) -> None:
    out = {"$out": {"db": database, "coll": "o"}}
    assert _code({"aggregate": "c", "pipeline": [out], "cursor": {}}) == Code.CommandNotSupported
    rename = {"renameCollection": f"{A}.c", "to": f"{database}.c"}
    assert _code(rename, "admin") == Code.CommandNotSupported


@pytest.mark.parametrize("database", ["admin", "config"])
def test_the_cluster_keeps_its_databases(database: str) -> None:
    assert _code({"dropDatabase": 1}, database) == Code.IllegalOperation


# Transactions


def test_a_transaction_stays_on_its_shard() -> None:
    statement = in_transaction({"find": "c"})
    assert isinstance(route(statement, catalog(), "shard-a"), Route)
    with pytest.raises(CommandError) as raised:
        route(statement, catalog(), "shard-b")
    assert raised.value.code == Code.OperationNotSupportedInTransaction
    assert "mongos" in raised.value.message


def test_its_end_goes_where_it_began() -> None:
    for name in ("commitTransaction", "abortTransaction"):
        ending = in_transaction({name: 1}, "admin")
        assert route(ending, catalog(), "shard-b") == Route("shard-b")
        with pytest.raises(CommandError):
            route(ending, catalog(), "shard-z")


def test_no_transaction_on_the_config_servers() -> None:
    with pytest.raises(CommandError) as raised:
        route(first_statement({"find": "c"}, "admin"), catalog())
    assert raised.value.code == Code.OperationNotSupportedInTransaction


# Databases that are not there


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"find": "c"}, "cursor"),
        ({"aggregate": "c", "pipeline": [], "cursor": {}}, "cursor"),
        ({"listCollections": 1}, "cursor"),
        ({"count": "c"}, "n"),
        ({"distinct": "c", "key": "a"}, "values"),
        ({"drop": "c"}, "info"),
        ({"dropDatabase": 1}, "info"),
        ({"dbStats": 1}, "objects"),
        ({"collStats": "c"}, "count"),
    ],
)
def test_nothing_is_there(fields: Mapping[str, Any], field: str) -> None:
    answer = Document(Document(encode({})).edited((), empty(command(fields, "new"))))
    assert answer.truth("ok")
    assert field in answer


@pytest.mark.parametrize(
    "fields",
    [{"listIndexes": "c"}, {"collMod": "c"}, {"dropIndexes": "c", "index": "*"}, {"validate": "c"}],
)
def test_nothing_to_work_on(fields: Mapping[str, Any]) -> None:
    with pytest.raises(CommandError) as raised:
        empty(command(fields, "new"))
    assert raised.value.code == Code.NamespaceNotFound


def test_a_change_stream_on_nothing_needs_mongos() -> None:
    with pytest.raises(CommandError) as raised:
        empty(command({"aggregate": "c", "pipeline": [{"$changeStream": {}}], "cursor": {}}, "new"))
    assert raised.value.code == Code.CommandNotSupported
