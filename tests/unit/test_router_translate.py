"""What goes to a server in place of what the client sent."""

from collections.abc import Mapping
from typing import Any

import bson
import pytest
from bson import Binary
from pymongo.read_preferences import Nearest, Primary, Secondary, SecondaryPreferred

from mongo.router.command import Command, UserName
from mongo.router.concerns import MAJORITY, Defaults, edit, parse_defaults
from mongo.router.config import Limits
from mongo.router.document import Document, encode_elements
from mongo.router.errors import Code, CommandError
from mongo.router.translate import answer_seconds, outgoing, preference, selection_seconds
from tests.unit.router_samples import (
    SESSION,
    A,
    command,
    first_statement,
    in_transaction,
    numbered,
)

ALICE, BOB = UserName("alice", "admin"), UserName("bob", "admin")
INSERT = {"insert": "c", "documents": [{"_id": 1}]}
TRUSTED = encode_elements({"$clusterTime": {"clusterTime": bson.Timestamp(9, 9)}})


def _sent(checked: Command, defaults: Defaults | None = None, user: UserName = ALICE) -> Any:
    return bson.decode(outgoing(checked, user, defaults or Defaults(), TRUSTED))


# As it is, but for a few fields


def test_a_command_passes_as_it_is() -> None:
    fields = {"find": "c", "filter": {"a": 1}, "batchSize": 5, "comment": "why"}
    assert _sent(command(fields)) == {
        **fields,
        "$db": A,
        "$clusterTime": {"clusterTime": bson.Timestamp(9, 9)},
    }


def test_its_name_stays_first() -> None:
    assert next(iter(_sent(numbered(INSERT)))) == "insert"


def test_a_clients_time_is_not_passed_on() -> None:
    fields = {"find": "c", "$clusterTime": {"clusterTime": bson.Timestamp(2**31, 1)}}
    assert _sent(command(fields))["$clusterTime"] == {"clusterTime": bson.Timestamp(9, 9)}


def test_sessions_of_two_users_are_two() -> None:
    checked = command({"find": "c", "lsid": SESSION})
    alice, bob = _sent(checked)["lsid"], _sent(checked, user=BOB)["lsid"]
    assert alice["id"] == bob["id"] == SESSION["id"]
    assert len(alice["uid"]) == len(bob["uid"]) == 32
    assert alice["uid"] != bob["uid"]


def test_the_numbering_of_writes_stays() -> None:
    sent = _sent(numbered(INSERT))
    assert sent["txnNumber"] == 1
    assert sent["lsid"]["id"] == SESSION["id"]


def test_a_read_preference_is_for_reads_alone() -> None:
    secondary = {"$readPreference": {"mode": "secondary"}}
    assert _sent(command({"find": "c", **secondary}))["$readPreference"] == {"mode": "secondary"}
    assert "$readPreference" not in _sent(command({**INSERT, **secondary}))
    assert "$readPreference" not in _sent(in_transaction({"find": "c", **secondary}))


# Names between servers


@pytest.mark.parametrize(
    ("fields", "database", "wanted"),
    [
        ({"drop": "c"}, A, {"_shardsvrDropCollection": "c", "$db": A}),
        ({"dropDatabase": 1}, A, {"_shardsvrDropDatabase": 1, "$db": A}),
        (
            {"collMod": "c", "validator": {"a": 1}, "comment": "why"},
            A,
            {"_shardsvrCollMod": "c", "validator": {"a": 1}, "$db": A, "comment": "why"},
        ),
        (
            {"renameCollection": f"{A}.c", "to": f"{A}.d", "dropTarget": True},
            "admin",
            {"_shardsvrRenameCollection": "c", "to": f"{A}.d", "dropTarget": True, "$db": A},
        ),
        (
            {"addShard": "s/h:1", "name": "s"},
            "admin",
            {"_configsvrAddShard": "s/h:1", "name": "s", "$db": "admin"},
        ),
        (
            {"enableSharding": A, "primaryShard": "shard-a"},
            "admin",
            {"_configsvrCreateDatabase": A, "primaryShardId": "shard-a", "$db": "admin"},
        ),
    ],
)
def test_commands_with_another_name(
    fields: Mapping[str, Any], database: str, wanted: Mapping[str, Any]
) -> None:
    sent = _sent(command(fields, database), Defaults(write={"w": 1, "wtimeout": 0}))
    sent.pop("$clusterTime")
    assert sent == {**wanted, "writeConcern": MAJORITY}


def test_the_balancer_takes_no_write_concern() -> None:
    sent = _sent(command({"balancerStop": 1, "maxTimeMS": 7}, "admin"))
    sent.pop("$clusterTime")
    assert sent == {"_configsvrBalancerStop": 1, "maxTimeMS": 7, "$db": "admin"}


def test_what_is_administered_waits_for_a_majority() -> None:
    fields = {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}, "writeConcern": {"w": 1}}
    sent = _sent(command(fields, "admin"), Defaults(write={"w": 5, "wtimeout": 0}))
    assert sent["writeConcern"] == MAJORITY
    assert sent["defaultWriteConcern"] == {"w": 1}


def test_a_limit_of_patience_is_kept() -> None:
    sent = _sent(command({"drop": "c", "writeConcern": {"w": 1, "wtimeout": 500}}))
    assert sent["writeConcern"] == {"w": "majority", "wtimeout": 500}


@pytest.mark.parametrize("fields", [{"drop": "c"}, {"collMod": "c", "validator": {}}])
def test_the_config_servers_own_collections_have_no_other_name(fields: Mapping[str, Any]) -> None:
    assert next(iter(_sent(command(fields, "config")))) == next(iter(fields))


# Defaults


SET = parse_defaults(
    {
        "_id": "ReadWriteConcernDefaults",
        "defaultWriteConcern": {"w": 2, "wtimeout": 100},
        "defaultReadConcern": {"level": "majority"},
    }
)


@pytest.mark.parametrize(
    ("checked", "wanted"),
    [
        (command(INSERT), {"w": 2, "wtimeout": 100, "provenance": "customDefault"}),
        (command({**INSERT, "writeConcern": {"w": 1}}), {"w": 1}),
        (command({**INSERT, "writeConcern": {"w": 0}}), {"w": 1}),
        (command({**INSERT, "writeConcern": {"j": True}}), {"j": True, "w": 2}),
        (command({**INSERT, "writeConcern": {}}), {"w": 2}),
        (command({"find": "c"}), None),
        (command({"aggregate": "c", "pipeline": [], "cursor": {}}), None),
        (
            command({"aggregate": "c", "pipeline": [{"$out": "o"}], "cursor": {}}),
            {"w": 2, "wtimeout": 100, "provenance": "customDefault"},
        ),
        (in_transaction(INSERT), None),
        (
            in_transaction({"commitTransaction": 1}, "admin"),
            {"w": 2, "wtimeout": 100, "provenance": "customDefault"},
        ),
        (
            command({"createIndexes": "c", "indexes": []}),
            {"w": 2, "wtimeout": 100, "provenance": "customDefault"},
        ),
    ],
)
def test_the_default_write_concern(checked: Command, wanted: Mapping[str, Any] | None) -> None:
    assert _sent(checked, SET).get("writeConcern") == wanted


def test_without_a_default_a_write_waits_for_the_majority() -> None:
    for nothing in (None, {}, {"_id": "ReadWriteConcernDefaults"}):
        sent = _sent(command(INSERT), parse_defaults(nothing))
        assert sent["writeConcern"] == {**MAJORITY, "provenance": "implicitDefault"}


LEVEL = {"level": "majority", "provenance": "customDefault"}


@pytest.mark.parametrize(
    ("checked", "wanted"),
    [
        (command({"find": "c"}), LEVEL),
        (command({"find": "c", "readConcern": {"level": "local"}}), {"level": "local"}),
        (
            command({"find": "c", "readConcern": {"afterClusterTime": bson.Timestamp(1, 1)}}),
            {"afterClusterTime": bson.Timestamp(1, 1), **LEVEL},
        ),
        (command({"listCollections": 1}), None),
        (command(INSERT), None),
        (command({**INSERT, "readConcern": {}}), {}),
        (first_statement(INSERT), LEVEL),
        (in_transaction({"find": "c"}), None),
    ],
)
def test_the_default_read_concern(checked: Command, wanted: Mapping[str, Any] | None) -> None:
    assert _sent(checked, SET).get("readConcern") == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {**INSERT, "writeConcern": {"w": 1, "provenance": "internalWriteDefault"}},
        {**INSERT, "writeConcern": 1},
        {"find": "c", "readConcern": {"level": "local", "provenance": "x"}},
        {"find": "c", "readConcern": {"afterOpTime": 1}},
        {"find": "c", "readConcern": {"$_waitLastStableRecoveryTimestamp": True}},
    ],
)
def test_concerns_that_are_none(fields: Mapping[str, Any]) -> None:
    with pytest.raises(CommandError):
        edit(command(fields), Defaults())


# Preference and patience


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"mode": "primary"}, Primary()),
        ({"mode": "secondary"}, Secondary()),
        ({"mode": "secondaryPreferred"}, SecondaryPreferred()),
        ({"mode": "nearest", "tags": [{"zone": "a"}]}, Nearest([{"zone": "a"}])),
        ({"mode": "secondary", "maxStalenessSeconds": 120}, Secondary(None, 120)),
    ],
)
def test_preferences(given: Mapping[str, Any], wanted: Any) -> None:
    assert preference(command({"find": "c", "$readPreference": given})) == wanted
    assert preference(command({**INSERT, "$readPreference": given})) == Primary()


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "nonsense"},
        {"mode": "primary", "tags": [{"a": "b"}]},
        {"mode": "secondary", "maxStalenessSeconds": "x"},
        {"mode": "secondary", "tags": 1},
    ],
)
def test_preferences_that_are_none(given: Mapping[str, Any]) -> None:
    with pytest.raises(CommandError) as raised:
        preference(command({"find": "c", "$readPreference": given}))
    assert raised.value.code == Code.FailedToParse


def test_a_transaction_reads_from_the_primary() -> None:
    fields = {"find": "c", "$readPreference": {"mode": "secondary"}}
    with pytest.raises(CommandError) as raised:
        preference(in_transaction(fields))
    assert raised.value.code == Code.InvalidOptions


LIMITS = Limits(selection=15, command=60, definition=600, margin=5)


@pytest.mark.parametrize(
    ("fields", "answer", "selection"),
    [
        ({"find": "c"}, 60, 15),
        ({"find": "c", "maxTimeMS": 2000}, 7, 2),
        ({"find": "c", "maxTimeMS": 100_000}, 105, 15),
        ({**INSERT, "writeConcern": {"w": 1, "wtimeout": 90_000}}, 95, 15),
        ({**INSERT, "writeConcern": {"w": 1, "wtimeout": 10}}, 60, 15),
        ({"createIndexes": "c", "indexes": []}, 600, 15),
        ({"getMore": bson.Int64(1), "collection": "c", "maxTimeMS": 1000}, 60, 15),
        ({"getMore": bson.Int64(1), "collection": "c", "maxTimeMS": 90_000}, 95, 15),
    ],
)
def test_patience(fields: Mapping[str, Any], answer: float, selection: float) -> None:
    assert answer_seconds(command(fields), LIMITS) == answer
    assert selection_seconds(command(fields), LIMITS) == selection


def test_binary_and_odd_types_survive() -> None:
    fields = {
        "find": "c",
        "filter": {"a": Binary(b"x", 3), "b": bson.Regex("a"), "c": bson.Int64(1), "d": 1.0},
    }
    raw = bson.encode({**fields, "$db": A})
    sent = Document(outgoing(command(fields), ALICE, Defaults(), b""))
    assert sent.bytes_of("filter") == Document(raw).bytes_of("filter")
