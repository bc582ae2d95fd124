"""Which commands get into the router at all, and in what form."""

from collections.abc import Mapping
from typing import Any

import bson
import pytest
from bson import Binary

from mongo.router.command import Goes
from mongo.router.document import Document
from mongo.router.errors import Code, CommandError
from mongo.router.parse import GENERIC, parse_message, parse_query
from mongo.router.table import BY_NAME, SPECS
from mongo.router.wire import Message, Query
from tests.unit.router_samples import SESSION, A, command


def _code(fields: Mapping[str, Any], database: str = A, **sequences: Any) -> int:
    with pytest.raises(CommandError) as raised:
        command(fields, database, **sequences)
    return raised.value.code


def test_names_and_aliases_are_each_of_one_command() -> None:
    names = [name for spec in SPECS for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names)) == len(BY_NAME)


@pytest.mark.parametrize(
    "name", ["nonsense", "eval", "_configsvrAddShard", "_shardsvrDropDatabase"]
)
def test_unknown_and_internal_commands(name: str) -> None:
    assert _code({name: 1}) == Code.CommandNotFound


# Fields by which servers of a cluster tell each other what no client may say.
INTERNAL_FIELDS = [
    "$audit",
    "$configServerState",
    "$oplogQueryData",
    "$replData",
    "allowImplicitCollectionCreation",
    "coordinator",
    "databaseVersion",
    "exchange",
    "fromMongos",
    "fromRouter",
    "isTimeseriesNamespace",
    "mayBypassWriteBlocking",
    "maxTimeMSOpOnly",
    "needsMerge",
    "runtimeConstants",
    "shardVersion",
    "stmtId",
    "stmtIds",
    "term",
    "use44SortKeys",
]


@pytest.mark.parametrize("field", INTERNAL_FIELDS)
@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if spec.fields is not None], ids=lambda spec: str(spec.name)
)
def test_no_internal_field_is_known_to_any_command(spec: Any, field: str) -> None:
    assert field not in spec.fields | GENERIC


@pytest.mark.parametrize("field", INTERNAL_FIELDS)
@pytest.mark.parametrize(
    "fields",
    [
        {"find": "c"},
        {"insert": "c", "documents": []},
        {"aggregate": "c", "pipeline": [], "cursor": {}},
        {"createUser": "u", "pwd": "p", "roles": []},
        {"explain": {"find": "c"}},
    ],
)
def test_an_internal_field_is_refused(fields: Mapping[str, Any], field: str) -> None:
    assert _code({**fields, field: 1}) == Code.UnknownField


def test_an_internal_field_within_an_explained_command_is_refused() -> None:
    assert _code({"explain": {"find": "c", "shardVersion": 1}}) == Code.UnknownField


def test_what_is_answered_by_others_names_its_fields() -> None:
    for spec in SPECS:
        assert (spec.fields is None) == (spec.goes in {Goes.NOWHERE, Goes.HERE}) or (
            spec.name == "listDatabases"
        )


@pytest.mark.parametrize("database", ["", "a.b", "a b", "a/b", "a$b", 'a"b', "x" * 64])
def test_names_that_no_database_has(database: str) -> None:
    assert _code({"find": "c"}, database) == Code.InvalidNamespace


@pytest.mark.parametrize("collection", ["", ".c", "a$b", "a\0b"])
def test_names_that_no_collection_has(collection: str) -> None:
    assert _code({"find": collection}) == Code.InvalidNamespace


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"find": 1}, Code.TypeMismatch),
        ({"find": "c", "maxTimeMS": -1}, Code.BadValue),
        ({"find": "c", "maxTimeMS": "x"}, Code.TypeMismatch),
        ({"find": "c", "writeConcern": {"w": 1}}, Code.InvalidOptions),
        ({"drop": "c", "readConcern": {"level": "majority"}}, Code.InvalidOptions),
        ({"drop": "c", "readConcern": 1}, Code.TypeMismatch),
        ({"find": "c", "lsid": {**SESSION, "uid": Binary(b"x" * 32)}}, Code.Unauthorized),
        ({"find": "c", "lsid": {**SESSION, "txnUUID": 1}}, Code.Unauthorized),
        ({"find": "c", "lsid": {"id": "x"}}, Code.TypeMismatch),
        ({"find": "c", "lsid": {"id": Binary(b"short", 4)}}, Code.TypeMismatch),
        ({"find": "c", "lsid": 1}, Code.TypeMismatch),
        ({"find": "c", "txnNumber": 1}, Code.InvalidOptions),
        ({"find": "c", "lsid": SESSION, "autocommit": False}, Code.InvalidOptions),
        ({"find": "c", "lsid": SESSION, "txnNumber": 1, "autocommit": True}, Code.InvalidOptions),
        (
            {"find": "c", "lsid": SESSION, "txnNumber": 1, "startTransaction": True},
            Code.InvalidOptions,
        ),
        (
            {"count": "c", "lsid": SESSION, "txnNumber": 1, "autocommit": False},
            Code.OperationNotSupportedInTransaction,
        ),
        ({"getMore": 1}, Code.InvalidNamespace),
        ({"explain": {"nonsense": 1}}, Code.CommandNotFound),
        ({"explain": {"drop": "c"}}, Code.CommandNotSupported),
        ({"explain": "c"}, Code.TypeMismatch),
        ({"explain": {"find": "c", "$db": "admin"}}, Code.InvalidNamespace),
        ({"aggregate": "c", "pipeline": {"$match": {}}}, Code.TypeMismatch),
    ],
)
def test_refused(fields: Mapping[str, Any], code: Code) -> None:
    assert _code(fields) == code


@pytest.mark.parametrize("name", [spec.name for spec in SPECS if spec.admin_only])
def test_commands_for_the_admin_database_alone(name: str) -> None:
    assert _code({name: 1}) == Code.Unauthorized


def test_the_local_database_is_nobodys() -> None:
    assert _code({"find": "oplog.rs"}, "local") == Code.IllegalOperation


def test_a_message_without_a_database() -> None:
    with pytest.raises(CommandError) as raised:
        parse_message(Message(0, Document(bson.encode({"ping": 1}))))
    assert raised.value.code == Code.DatabaseMissing


def test_a_causal_session_may_do_anything() -> None:
    time = {"afterClusterTime": bson.Timestamp(1, 1)}
    for fields in ({"insert": "c", "documents": []}, {"drop": "c"}, {"listIndexes": "c"}):
        assert command({**fields, "readConcern": time})


def test_a_sequence_stands_for_its_field() -> None:
    found = command({"insert": "c"}, documents=[{"_id": 1}, {"_id": 2}])
    assert found.statement_count() == 2
    assert [each.decoded() for each in found.statements()] == [{"_id": 1}, {"_id": 2}]
    inline = command({"insert": "c", "documents": [{"_id": 3}]})
    assert inline.statement_count() == 1
    assert [each.decoded() for each in inline.statements()] == [{"_id": 3}]


def test_a_sequence_may_not_hide_a_field() -> None:
    documents = [{"_id": 1}]
    assert _code({"insert": "c", "documents": documents}, documents=documents) == Code.UnknownField
    assert _code({"insert": "c"}, updates=documents) == Code.UnknownField
    assert _code({"find": "c"}, filter=[{}]) == Code.UnknownField


@pytest.mark.parametrize("name", ["ismaster", "isMaster", "hello"])
def test_the_legacy_handshake(name: str) -> None:
    found = parse_query(Query("admin.$cmd", Document(bson.encode({name: 1}))))
    assert found.spec.goes is Goes.HERE


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("admin.$cmd", "ping"), ("admin.users", "hello"), ("admin.$cmd", "saslStart"), ("", "hello")],
)
def test_other_legacy_queries(namespace: str, name: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_query(Query(namespace, Document(bson.encode({name: 1}))))
    assert raised.value.code == Code.UnsupportedOpQueryCommand


def test_a_rename_is_about_what_it_names() -> None:
    found = command({"renameCollection": f"{A}.old", "to": f"{A}.new"}, "admin")
    assert (found.database, found.collection) == (A, "old")
    assert _code({"renameCollection": "old", "to": f"{A}.new"}, "admin") == Code.InvalidNamespace
