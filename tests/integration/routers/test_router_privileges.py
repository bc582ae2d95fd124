"""Least privilege, tried on a router: what each of our users must not be able to do."""

from collections.abc import Iterator

import pytest
from bson import Int64
from pymongo.errors import OperationFailure

from tests.integration.mongo_lab import SEGMENT_A, SEGMENT_B, Client, Document, MongoLab, User

pytestmark = pytest.mark.servers

OTHER = "other_tenant"
UNAUTHORIZED = 13
OUT = {"aggregate": "c", "cursor": {}}


@pytest.fixture(scope="module")
def admin(mongo_lab: MongoLab) -> Iterator[Client]:
    with mongo_lab.client(mongo_lab.admin) as client:
        client[OTHER].c.insert_one({"_id": "secret"})
        client[SEGMENT_A].c.insert_one({"_id": 1})
        yield client
        client.drop_database(OTHER)
        client[SEGMENT_A].c.drop()


@pytest.fixture(scope="module")
def app(mongo_lab: MongoLab, admin: Client) -> Iterator[Client]:
    with mongo_lab.client(mongo_lab.app) as client:
        yield client


@pytest.fixture(scope="module")
def monitor(mongo_lab: MongoLab, admin: Client) -> Iterator[Client]:
    with mongo_lab.client(mongo_lab.monitor) as client:
        yield client


def unauthorized(client: Client, database: str, command: Document) -> None:
    with pytest.raises(OperationFailure) as raised:
        client[database].command(command)
    assert raised.value.code == UNAUTHORIZED, raised.value.details


@pytest.mark.parametrize(
    ("database", "command"),
    [
        # another's data
        (OTHER, {"find": "c"}),
        (OTHER, {"insert": "c", "documents": [{}]}),
        (OTHER, {"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}),
        (OTHER, {"delete": "c", "deletes": [{"q": {}, "limit": 0}]}),
        (OTHER, {"findAndModify": "c", "remove": True}),
        (OTHER, {"drop": "c"}),
        (OTHER, {"dropDatabase": 1}),
        (OTHER, {"create": "d"}),
        (OTHER, {"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a"}]}),
        (OTHER, {"listCollections": 1}),
        (OTHER, {"count": "c"}),
        (OTHER, {"explain": {"find": "c"}}),
        # through one's own
        (SEGMENT_A, {**OUT, "pipeline": [{"$out": {"db": OTHER, "coll": "c"}}]}),
        (SEGMENT_A, {**OUT, "pipeline": [{"$merge": {"into": {"db": OTHER, "coll": "c"}}}]}),
        (SEGMENT_A, {**OUT, "pipeline": [{"$unionWith": "system.profile"}]}),
        ("admin", {"renameCollection": f"{OTHER}.c", "to": f"{SEGMENT_A}.stolen"}),
        ("admin", {"renameCollection": f"{SEGMENT_A}.c", "to": f"{OTHER}.d"}),
        # one's own beyond readWrite
        (SEGMENT_A, {"dropDatabase": 1}),
        (SEGMENT_B, {"dropDatabase": 1}),
        (SEGMENT_A, {"collMod": "c", "validator": {}}),
        (SEGMENT_A, {"find": "system.profile"}),
        # the cluster's
        ("config", {"find": "shards"}),
        ("config", {"insert": "settings", "documents": [{"_id": "x"}]}),
        ("config", {"update": "databases", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}),
        ("admin", {"find": "system.users"}),
        ("admin", {"find": "system.keys"}),
        ("admin", {"usersInfo": 1}),
        ("admin", {"usersInfo": "admin", "showCredentials": True}),
        ("admin", {"createUser": "eve", "pwd": "x", "roles": ["root"]}),
        (SEGMENT_A, {"createUser": "eve", "pwd": "x", "roles": ["readWrite"]}),
        ("admin", {"updateUser": "app", "roles": ["root"]}),
        ("admin", {"updateUser": "admin", "pwd": "x"}),
        ("admin", {"grantRolesToUser": "app", "roles": ["root"]}),
        ("admin", {"dropUser": "admin"}),
        ("admin", {"addShard": "x/127.0.0.1:1"}),
        ("admin", {"enableSharding": "eves"}),
        ("admin", {"balancerStop": 1}),
        ("admin", {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}}),
        ("admin", {"listShards": 1}),
        ("admin", {"serverStatus": 1}),
    ],
)
def test_the_application_may_not(app: Client, database: str, command: Document) -> None:
    unauthorized(app, database, command)


def test_the_application_may(app: Client) -> None:
    for segment in (SEGMENT_A, SEGMENT_B):
        collection = app[segment].own
        collection.insert_one({"_id": 1})
        collection.create_index("a")
        assert collection.find_one({"_id": 1})
        assert "own" in app[segment].list_collection_names()
        collection.drop()


def test_the_data_of_others_is_as_it_was(app: Client, admin: Client) -> None:
    assert list(admin[OTHER].c.find()) == [{"_id": "secret"}]
    assert OTHER not in app.list_database_names()


@pytest.mark.parametrize(
    ("database", "command"),
    [
        (SEGMENT_A, {"find": "c"}),
        (SEGMENT_A, {"insert": "c", "documents": [{}]}),
        (SEGMENT_A, {"delete": "c", "deletes": [{"q": {}, "limit": 0}]}),
        (SEGMENT_A, {"drop": "c"}),
        (SEGMENT_A, {"dropDatabase": 1}),
        ("config", {"insert": "settings", "documents": [{"_id": "x"}]}),
        ("config", {"update": "settings", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}),
        ("admin", {"createUser": "eve", "pwd": "x", "roles": ["root"]}),
        ("admin", {"find": "system.users"}),
        ("admin", {"balancerStop": 1}),
        ("admin", {"addShard": "x/127.0.0.1:1"}),
        ("admin", {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}}),
    ],
)
def test_the_monitor_may_not(monitor: Client, database: str, command: Document) -> None:
    unauthorized(monitor, database, command)


def test_the_monitor_may(monitor: Client) -> None:
    assert monitor.admin.command("serverStatus")["ok"]
    assert monitor.admin.command("listShards")["shards"]
    assert monitor.admin.command("getDefaultRWConcern")["ok"]
    assert monitor.config.databases.find_one({"_id": SEGMENT_A})
    assert monitor[SEGMENT_A].command("dbStats")["ok"]
    assert SEGMENT_A in monitor.list_database_names()


def test_one_who_may_read_one_collection(mongo_lab: MongoLab, admin: Client) -> None:
    """His listings name that one alone; a view does not show him more."""
    database = admin[SEGMENT_A]
    database.seen.insert_one({"_id": 1})
    privilege = {"resource": {"db": SEGMENT_A, "collection": "seen"}, "actions": ["find"]}
    admin.admin.command("createRole", "narrow", privileges=[privilege], roles=[])
    admin.admin.command("createUser", "narrow", pwd="narrow", roles=["narrow"])
    try:
        with mongo_lab.client(User("narrow", "narrow", ())) as client:
            assert client[SEGMENT_A].seen.find_one() == {"_id": 1}
            unauthorized(client, SEGMENT_A, {"find": "c"})
            unauthorized(client, SEGMENT_A, {"listCollections": 1})
            lookup = {"from": "c", "localField": "_id", "foreignField": "_id", "as": "x"}
            pipeline = [{"$lookup": lookup}]
            unauthorized(
                client, SEGMENT_A, {"aggregate": "seen", "pipeline": pipeline, "cursor": {}}
            )
            names = client[SEGMENT_A].list_collection_names(authorizedCollections=True)
            assert names == ["seen"]
            assert client.list_database_names() == [SEGMENT_A]
    finally:
        admin.admin.command("dropUser", "narrow")
        admin.admin.command("dropRole", "narrow")
        database.seen.drop()


def test_anothers_cursor(mongo_lab: MongoLab, admin: Client, app: Client) -> None:
    admin[SEGMENT_A].many.insert_many([{"_id": number} for number in range(10)])
    with mongo_lab.raw(mongo_lab.admin) as alice, mongo_lab.raw(mongo_lab.app) as eve:
        opened = alice.command({"find": "many", "batchSize": 2, "$db": SEGMENT_A})
        number = Int64(opened["cursor"]["id"])
        more = {"getMore": number, "collection": "many", "$db": SEGMENT_A}
        assert eve.command(more)["code"] == UNAUTHORIZED
        kill = {"killCursors": "many", "cursors": [number], "$db": SEGMENT_A}
        reply = eve.command(kill)
        assert not reply["ok"] or reply["cursorsKilled"] == []
        assert len(alice.command(more)["cursor"]["nextBatch"]) == 8
    admin[SEGMENT_A].many.drop()


def test_a_user_from_elsewhere(mongo_lab: MongoLab, admin: Client) -> None:
    """Authentication restrictions are kept."""
    admin.admin.command(
        "createUser",
        "distant",
        pwd="distant",
        roles=["clusterMonitor"],
        authenticationRestrictions=[{"clientSource": ["10.0.0.0/8"]}],
    )
    try:
        with (
            mongo_lab.client(User("distant", "distant", ())) as client,
            pytest.raises(OperationFailure) as raised,
        ):
            client.admin.command("listShards")
        assert raised.value.code == 18
    finally:
        admin.admin.command("dropUser", "distant")


def test_logging_out(mongo_lab: MongoLab) -> None:
    with mongo_lab.raw(mongo_lab.app) as raw:
        find = {"find": "c", "$db": SEGMENT_A}
        assert raw.command(find)["ok"]
        raw.command({"logout": 1, "$db": "admin"})
        assert raw.command(find)["code"] == UNAUTHORIZED


def test_one_connection_is_one_users(mongo_lab: MongoLab) -> None:
    with mongo_lab.raw(mongo_lab.app) as raw:
        with pytest.raises(KeyError):
            raw.log_in(mongo_lab.admin)  # no payload comes back
        assert raw.command({"find": "shards", "$db": "config"})["code"] == UNAUTHORIZED


def test_a_proof_cannot_be_skipped(mongo_lab: MongoLab) -> None:
    """saslContinue without a conversation, or after a failed one, gives nothing."""
    with mongo_lab.raw() as raw:
        final = {"saslContinue": 1, "conversationId": 1, "payload": b"", "$db": "admin"}
        assert not raw.command(final)["ok"]
        with pytest.raises(KeyError):
            raw.log_in(User("app", "wrong", ()))
        assert not raw.command(final)["ok"]
        assert raw.command({"find": "c", "$db": SEGMENT_A})["code"] == UNAUTHORIZED
