"""What drivers and operators may expect of a router, be it mongos or the segment router."""

import datetime
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bson
import pytest
from bson import Binary, Int64, Timestamp
from pymongo import (
    CursorType,
    DeleteOne,
    InsertOne,
    MongoClient,
    ReadPreference,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
    WriteConcern,
    monitoring,
)
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    CursorNotFound,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    WriteError,
)
from pymongo.read_concern import ReadConcern

from tests.integration.mongo_lab import (
    SEGMENT_A,
    SEGMENT_B,
    SHARD_A,
    Client,
    Document,
    MongoLab,
    User,
    eventually,
)

pytestmark = pytest.mark.servers

SEGMENTS = (SEGMENT_A, SEGMENT_B)
Collection = Any


@pytest.fixture(scope="module")
def app(mongo_lab: MongoLab) -> Iterator[Client]:
    with mongo_lab.client(mongo_lab.app) as client:
        yield client


@pytest.fixture(scope="module")
def admin(mongo_lab: MongoLab) -> Iterator[Client]:
    with mongo_lab.client(mongo_lab.admin) as client:
        yield client


@pytest.fixture
def collection(app: Client) -> Iterator[Collection]:
    """An empty collection on the first shard."""
    found = app[SEGMENT_A][f"c{uuid.uuid4().hex}"]
    yield found
    found.drop()


@pytest.fixture
def other(app: Client) -> Iterator[Collection]:
    """An empty collection on the second shard."""
    found = app[SEGMENT_B][f"c{uuid.uuid4().hex}"]
    yield found
    found.drop()


def refused(code: int, client: Client, database: str, command: Document) -> OperationFailure:
    """The command fails with this code."""
    with pytest.raises(OperationFailure) as raised:
        client[database].command(command)
    assert raised.value.code == code, raised.value.details
    return raised.value


# Handshake


def test_drivers_see_a_sharded_cluster(app: Client, mongo_lab: MongoLab) -> None:
    hello = app.admin.command("hello")
    assert hello["msg"] == "isdbgrid"
    assert hello["isWritablePrimary"]
    assert "setName" not in hello
    assert "topologyVersion" not in hello or mongo_lab.is_mongos
    assert hello["maxWireVersion"] >= 17
    assert hello["logicalSessionTimeoutMinutes"] == 30
    assert app.topology_description.topology_type_name == "Sharded"


@pytest.mark.parametrize("name", ["isMaster", "ismaster"])
def test_the_old_names_of_hello(app: Client, name: str) -> None:
    assert app.admin.command(name)["ismaster"]


def test_which_router_this_is(admin: Client, mongo_lab: MongoLab) -> None:
    build = admin.admin.command("buildInfo")
    assert bool(build.get("segmentRouter")) is not mongo_lab.is_mongos
    assert build["version"].split(".")[0] >= "6"
    process = admin.admin.command("serverStatus")["process"]
    assert process == ("mongos" if mongo_lab.is_mongos else "segment router")


def test_small_talk(app: Client, mongo_lab: MongoLab) -> None:
    assert app.admin.command("ping")["ok"] == 1
    status = app.admin.command("connectionStatus")["authInfo"]
    assert status["authenticatedUsers"] == [{"user": "app", "db": "admin"}]
    assert {"role": "readWrite", "db": SEGMENT_A} in status["authenticatedUserRoles"]
    assert app.admin.command("whatsmyuri")["you"]
    assert "find" in app.admin.command("listCommands")["commands"]
    assert app.admin.command("hello", saslSupportedMechs="admin.app")["saslSupportedMechs"]


def test_operators_questions(admin: Client) -> None:
    assert admin.admin.command("getCmdLineOpts")["argv"]
    assert admin.admin.command({"getLog": "startupWarnings"})["log"] is not None
    assert admin.admin.command({"getParameter": 1, "authenticationMechanisms": 1})["ok"]
    assert admin.admin.command("hostInfo")["system"]
    assert refused(72, admin, "admin", {"getParameter": 1, "nonsense": 1})


# Documents


@pytest.mark.parametrize("segment", SEGMENTS)
def test_documents_come_and_go(app: Client, segment: str) -> None:
    collection = app[segment].crud
    collection.drop()
    assert collection.insert_one({"_id": 1, "a": 1}).acknowledged
    assert collection.find_one({"_id": 1}) == {"_id": 1, "a": 1}
    assert collection.update_one({"_id": 1}, {"$inc": {"a": 1}}).modified_count == 1
    assert collection.replace_one({"_id": 2}, {"a": 5}, upsert=True).upserted_id == 2
    assert collection.find_one_and_update({"_id": 2}, {"$set": {"b": 1}}) == {"_id": 2, "a": 5}
    assert collection.count_documents({}) == 2
    assert collection.estimated_document_count() == 2
    assert sorted(collection.distinct("a")) == [2, 5]
    assert collection.delete_many({"a": {"$gt": 1}}).deleted_count == 2
    assert collection.find_one() is None
    collection.drop()


def test_segments_live_on_their_own_shards(
    app: Client, collection: Collection, other: Collection, mongo_lab: MongoLab
) -> None:
    collection.insert_one({"_id": "a"})
    other.insert_one({"_id": "b"})
    with mongo_lab.member_client(mongo_lab.primary(SHARD_A)) as member:
        assert member[SEGMENT_A][collection.name].find_one() == {"_id": "a"}
        assert SEGMENT_B not in member.list_database_names()


def test_bulk(collection: Collection) -> None:
    operations: list[Any] = [InsertOne({"_id": number}) for number in range(2500)]
    operations += [
        UpdateOne({"_id": 1}, {"$set": {"a": 1}}),
        UpdateMany({"_id": {"$lt": 10}}, {"$set": {"b": 1}}),
        ReplaceOne({"_id": "new"}, {"c": 1}, upsert=True),
        DeleteOne({"_id": 2499}),
    ]
    done = collection.bulk_write(operations)
    assert (done.inserted_count, done.deleted_count, done.upserted_count) == (2500, 1, 1)
    assert done.modified_count == 11
    assert collection.count_documents({}) == 2500


@pytest.mark.parametrize(("ordered", "left"), [(True, 1), (False, 2)])
def test_a_duplicate_in_a_bulk(collection: Collection, ordered: bool, left: int) -> None:
    documents = [{"_id": 1}, {"_id": 1}, {"_id": 2}]
    with pytest.raises(BulkWriteError) as raised:
        collection.insert_many(documents, ordered=ordered)
    assert raised.value.details["writeErrors"][0]["code"] == 11000
    assert raised.value.details["writeErrors"][0]["index"] == 1
    assert collection.count_documents({}) == left
    with pytest.raises(DuplicateKeyError):
        collection.insert_one({"_id": 1})


def test_documents_as_large_as_they_may_be(collection: Collection) -> None:
    size = 16 * 1024 * 1024
    collection.insert_one({"_id": 1, "x": b"x" * (size - 1000)})
    found = collection.find_one()
    assert found is not None
    assert len(found["x"]) == size - 1000
    with pytest.raises((DocumentTooLarge, WriteError, OperationFailure)):
        collection.insert_one({"_id": 2, "x": b"x" * (size + 100)})
    assert collection.count_documents({}) == 1


def test_more_than_one_message_of_large_documents(collection: Collection) -> None:
    collection.insert_many([{"_id": number, "x": b"x" * 6_000_000} for number in range(10)])
    assert sum(len(found["x"]) for found in collection.find()) == 60_000_000


def test_unacknowledged_writes(collection: Collection) -> None:
    quick = collection.with_options(write_concern=WriteConcern(w=0))
    assert not quick.insert_one({"_id": 1}).acknowledged
    quick.insert_many([{"_id": number} for number in range(2, 5)])
    eventually("the writes", lambda: collection.count_documents({}) == 4)


def test_every_bson_type_survives(collection: Collection) -> None:
    document = {
        "_id": bson.ObjectId(),
        "binary": Binary(b"x", 7),
        "uuid": Binary(b"0" * 16, 4),
        "long": Int64(1),
        "date": datetime.datetime(1, 1, 1),
        "regex": bson.Regex("^a", "i"),
        "decimal": bson.Decimal128("1.10"),
        "stamp": bson.Timestamp(1, 2),
        "code": bson.Code("f()", {"a": 1}),
        "min": bson.MinKey(),
        "max": bson.MaxKey(),
        "nested": {"a": [1, {"b": None}]},
    }
    collection.insert_one(document)
    assert collection.find_one() == document


# Cursors


@pytest.mark.parametrize("preference", [ReadPreference.PRIMARY, ReadPreference.SECONDARY])
def test_cursors_with_many_batches(collection: Collection, preference: Any) -> None:
    careful = collection.with_options(write_concern=WriteConcern(w=3))
    careful.insert_many([{"_id": number} for number in range(1000)])
    reader = collection.with_options(read_preference=preference)
    assert [found["_id"] for found in reader.find(batch_size=7).sort("_id")] == [*range(1000)]
    pipeline: list[Document] = [{"$match": {"_id": {"$gte": 500}}}, {"$sort": {"_id": 1}}]
    assert len(list(reader.aggregate(pipeline, batchSize=9))) == 500


def test_a_killed_cursor_is_gone(app: Client, collection: Collection) -> None:
    collection.insert_many([{"_id": number} for number in range(10)])
    with app.start_session() as session:
        cursor = collection.find(batch_size=2, session=session)
        next(cursor)
        number = cursor.cursor_id
        killed = app[SEGMENT_A].command(
            {"killCursors": collection.name, "cursors": [Int64(number), Int64(12345)]},
            session=session,
        )
        assert killed["cursorsKilled"] == [number]
        assert killed["cursorsNotFound"] == [12345]
        with pytest.raises(CursorNotFound):
            list(cursor)


def test_an_unknown_cursor(app: Client) -> None:
    refused(43, app, SEGMENT_A, {"getMore": Int64(99), "collection": "c"})


def test_a_cursor_of_another_user(mongo_lab: MongoLab, app: Client, admin: Client) -> None:
    collection = app[SEGMENT_A].cursors
    collection.drop()
    collection.insert_many([{"_id": number} for number in range(10)])
    cursor = collection.find(batch_size=2, no_cursor_timeout=True)
    next(cursor)
    number = Int64(cursor.cursor_id)
    refused(13, admin, SEGMENT_A, {"getMore": number, "collection": "cursors"})
    assert len(list(cursor)) == 9
    collection.drop()


def test_tailing(app: Client) -> None:
    database = app[SEGMENT_A]
    database.drop_collection("capped")
    capped = database.create_collection("capped", capped=True, size=100_000)
    capped.insert_one({"_id": 1})
    cursor = capped.find(cursor_type=CursorType.TAILABLE_AWAIT).max_await_time_ms(200)
    assert next(cursor) == {"_id": 1}
    capped.insert_one({"_id": 2})
    assert next(cursor) == {"_id": 2}
    cursor.close()
    capped.drop()


def test_change_streams(collection: Collection) -> None:
    with collection.watch(max_await_time_ms=500) as stream:
        collection.insert_one({"_id": 1})
        event = next(stream)
        assert event["operationType"] == "insert"
        token = stream.resume_token
        collection.insert_one({"_id": 2})
    with collection.watch(resume_after=token, max_await_time_ms=500) as stream:
        assert next(stream)["fullDocument"] == {"_id": 2}


def test_a_change_stream_over_the_cluster(admin: Client, our_limit: None) -> None:
    with pytest.raises(OperationFailure) as raised:
        admin.watch()
    assert raised.value.code == 115
    assert "mongos" in str(raised.value)


# Aggregations


def test_aggregations_over_collections(app: Client, collection: Collection) -> None:
    database = app[SEGMENT_A]
    joined = database[f"{collection.name}_j"]
    collection.insert_many([{"_id": number, "k": number % 2} for number in range(4)])
    joined.insert_many([{"_id": 0, "name": "even"}, {"_id": 1, "name": "odd"}])
    lookup = {"from": joined.name, "localField": "k", "foreignField": "_id", "as": "j"}
    rows = list(collection.aggregate([{"$lookup": lookup}, {"$sort": {"_id": 1}}]))
    assert [row["j"][0]["name"] for row in rows] == ["even", "odd", "even", "odd"]
    union = list(collection.aggregate([{"$unionWith": joined.name}, {"$count": "n"}]))
    assert union == [{"n": 6}]
    facet = next(collection.aggregate([{"$facet": {"all": [{"$count": "n"}]}}]))
    assert facet == {"all": [{"n": 4}]}
    for name in (f"{collection.name}_o", f"{collection.name}_m"):
        stage = {"$out": name} if name.endswith("_o") else {"$merge": {"into": name}}
        collection.aggregate([{"$match": {"k": 1}}, stage])
        assert database[name].count_documents({}) == 2
        database[name].drop()
    joined.drop()


def test_out_into_another_database_of_the_same_shard_or_not(
    app: Client, collection: Collection, our_limit: None
) -> None:
    collection.insert_one({"_id": 1})
    with pytest.raises(OperationFailure) as raised:
        collection.aggregate([{"$out": {"db": SEGMENT_B, "coll": "x"}}])
    assert raised.value.code == 115
    assert "mongos" in str(raised.value)


def test_views(app: Client, collection: Collection) -> None:
    collection.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    database = app[SEGMENT_A]
    name = f"{collection.name}_v"
    database.create_collection(name, viewOn=collection.name, pipeline=[{"$match": {"a": 2}}])
    assert list(database[name].find()) == [{"_id": 2, "a": 2}]
    database[name].drop()


def test_explain(app: Client, collection: Collection) -> None:
    collection.create_index("a")
    collection.insert_one({"a": 1})
    plan = app[SEGMENT_A].command(
        "explain", {"find": collection.name, "filter": {"a": 1}}, verbosity="queryPlanner"
    )
    assert "IXSCAN" in str(plan["queryPlanner"])


# Definitions


def test_indexes(collection: Collection) -> None:
    assert collection.create_index([("a", 1)], unique=True) == "a_1"
    collection.insert_one({"a": 1})
    with pytest.raises(DuplicateKeyError):
        collection.insert_one({"a": 1})
    assert set(collection.index_information()) == {"_id_", "a_1"}
    collection.drop_index("a_1")
    assert set(collection.index_information()) == {"_id_"}
    with pytest.raises(OperationFailure) as raised:
        collection.drop_index("a_1")
    assert raised.value.code == 27


def test_collections(app: Client) -> None:
    database = app[SEGMENT_A]
    for name in ("made", "renamed"):
        database.drop_collection(name)
    database.create_collection("made", validator={"a": {"$exists": True}})
    with pytest.raises(WriteError) as raised:
        database.made.insert_one({})
    assert raised.value.code == 121
    database.made.insert_one({"a": 1})
    assert "made" in database.list_collection_names()
    database.made.rename("renamed")
    assert database.renamed.count_documents({}) == 1
    assert "made" not in database.list_collection_names()
    assert database.command("collStats", "renamed")["count"] == 1
    assert database.command("dbStats")["objects"] >= 1
    database.drop_collection("renamed")
    assert "renamed" not in database.list_collection_names()
    database.drop_collection("renamed")  # again


def test_collmod(admin: Client, collection: Collection) -> None:
    collection.insert_one({})
    admin[SEGMENT_A].command({"collMod": collection.name, "validator": {"a": 1}})
    with pytest.raises(WriteError):
        collection.insert_one({"a": 2})


def test_a_database_is_made_by_the_first_write_and_dropped(admin: Client) -> None:
    name = f"made_{uuid.uuid4().hex[:8]}"
    database = admin[name]
    assert list(database.c.find()) == []
    assert list(database.c.aggregate([{"$match": {}}])) == []
    assert database.c.count_documents({}) == 0
    assert database.list_collection_names() == []
    assert database.c.distinct("a") == []
    assert name not in admin.list_database_names()
    database.c.insert_one({"_id": 1})
    assert name in admin.list_database_names()
    found = admin.config.databases.find_one({"_id": name})
    assert found is not None
    assert found["primary"] in {"shard-a", "shard-b"}
    admin.drop_database(name)
    assert name not in admin.list_database_names()
    assert admin.config.databases.find_one({"_id": name}) is None
    admin.drop_database(name)  # again
    database.c.insert_one({"_id": 2})  # and it can be made again
    assert list(database.c.find()) == [{"_id": 2}]
    admin.drop_database(name)


def test_another_router_learns_of_a_database_that_moved(mongo_lab: MongoLab) -> None:
    """A database dropped here and placed elsewhere: the other router must not write to the old."""
    name = f"moved_{uuid.uuid4().hex[:8]}"
    mongo_lab.start_router(2)
    try:
        with (
            mongo_lab.client(mongo_lab.admin) as one,
            mongo_lab.client(mongo_lab.admin, router=2) as two,
        ):
            one.admin.command("enableSharding", name, primaryShard="shard-a")
            two[name].c.insert_one({"_id": "before"})
            one.drop_database(name)
            one.admin.command("enableSharding", name, primaryShard="shard-b")
            one[name].c.insert_one({"_id": "one"})
            two[name].c.insert_one({"_id": "two"})
            for client in (one, two):
                assert {each["_id"] for each in client[name].c.find()} == {"one", "two"}
            one.drop_database(name)
    finally:
        mongo_lab.stop_router(2)


def test_listing_databases(admin: Client, app: Client, collection: Collection) -> None:
    collection.insert_one({})
    names = admin.list_database_names()
    assert {SEGMENT_A, "admin", "config"} <= set(names)
    assert "local" not in names
    entry = next(each for each in admin.list_databases() if each["name"] == SEGMENT_A)
    assert entry["sizeOnDisk"] > 0
    assert list(entry["shards"]) == ["shard-a"]
    assert "admin" not in app.list_database_names()
    assert SEGMENT_A in app.list_database_names()


# Read preferences, concerns, sessions


def test_a_secondary_reads(mongo_lab: MongoLab, collection: Collection) -> None:
    """Seen on the members: the primary counts no query of ours, the secondaries count all."""
    collection.with_options(write_concern=WriteConcern(w=3)).insert_one({"_id": 1})
    before = _queries(mongo_lab, collection.name)
    secondary = collection.with_options(read_preference=ReadPreference.SECONDARY)
    assert all(secondary.find_one({"_id": 1}) for _ in range(20))
    after = _queries(mongo_lab, collection.name)
    primary = mongo_lab.primary(SHARD_A).host
    grown = {host: after[host] - before[host] for host in after}
    assert grown[primary] == 0
    assert sum(grown.values()) == 20


def _queries(lab: MongoLab, collection: str) -> dict[str, int]:
    counts = {}
    for member in SHARD_A:
        with lab.member_client(member) as client:
            top = client.admin.command("top")["totals"]
        counts[member.host] = top.get(f"{SEGMENT_A}.{collection}", {}).get("queries", {"count": 0})[
            "count"
        ]
    return counts


@pytest.mark.parametrize(
    "preference",
    [
        ReadPreference.PRIMARY,
        ReadPreference.PRIMARY_PREFERRED,
        ReadPreference.SECONDARY,
        ReadPreference.SECONDARY_PREFERRED,
        ReadPreference.NEAREST,
    ],
)
def test_every_read_preference(collection: Collection, preference: Any) -> None:
    collection.with_options(write_concern=WriteConcern(w=3)).insert_one({"_id": 1})
    assert collection.with_options(read_preference=preference).find_one() == {"_id": 1}


def test_a_preference_that_nobody_satisfies(app: Client, other: Collection) -> None:
    """The second shard has no secondary; how long to look is the client's to say."""
    other.insert_one({"_id": 1})
    preferred = other.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)
    assert preferred.find_one() == {"_id": 1}
    only = other.with_options(read_preference=ReadPreference.SECONDARY)
    with pytest.raises((OperationFailure, ExecutionTimeout)) as raised:
        only.find_one(max_time_ms=500)
    assert raised.value.code in {133, 50}


def test_causal_reads_from_secondaries(app: Client, collection: Collection) -> None:
    secondary = collection.with_options(
        read_preference=ReadPreference.SECONDARY, read_concern=ReadConcern("majority")
    )
    with app.start_session(causal_consistency=True) as session:
        for number in range(20):
            collection.insert_one({"_id": number}, session=session)
            assert secondary.find_one({"_id": number}, session=session)


def test_cluster_time_spans_shards(app: Client, collection: Collection, other: Collection) -> None:
    with app.start_session(causal_consistency=True) as session:
        collection.insert_one({"_id": 1}, session=session)
        first = session.cluster_time["clusterTime"]
        other.find_one({}, session=session)
        assert session.cluster_time["clusterTime"] >= first
        assert session.operation_time is not None


def test_a_forged_cluster_time_moves_no_clock(mongo_lab: MongoLab, app: Client) -> None:
    real = app.admin.command("ping")["$clusterTime"]["clusterTime"]
    forged = {
        "clusterTime": Timestamp(real.time + 100_000, 1),
        "signature": {"hash": Binary(b"\0" * 20), "keyId": Int64(0)},
    }
    with mongo_lab.raw(mongo_lab.app) as eve:
        # mongos refuses the command, ours lets the time pass unheeded.
        eve.command({"find": "c", "$clusterTime": forged, "$db": SEGMENT_A})
    after = app[SEGMENT_A].command({"find": "c"})["$clusterTime"]["clusterTime"]
    assert after.time < real.time + 50_000


def test_snapshot_reads(collection: Collection, app: Client) -> None:
    collection.insert_one({"_id": 1})
    with app.start_session(snapshot=True) as session:
        assert collection.find_one({}, session=session) == {"_id": 1}


def test_the_default_write_concern_is_applied(
    mongo_lab: MongoLab, admin: Client, other: Collection
) -> None:
    """The second shard has one member, so w:2 can never be met: its error shows what was asked."""
    concern = {"w": 2, "wtimeout": 100}
    try:
        admin.admin.command("setDefaultRWConcern", 1, defaultWriteConcern=concern)
        for memory in (False, True):
            told = admin.admin.command("getDefaultRWConcern", inMemory=memory)
            assert told["defaultWriteConcern"] == concern
            assert told["defaultWriteConcernSource"] == "global"
        reply = admin[SEGMENT_B].command("insert", other.name, documents=[{"_id": 1}])
        assert reply["writeConcernError"]["code"] == 100
        own = admin[SEGMENT_B].command(
            "insert", other.name, documents=[{"_id": 2}], writeConcern={"w": 1}
        )
        assert "writeConcernError" not in own
    finally:
        admin.admin.command(
            "setDefaultRWConcern", 1, defaultWriteConcern={"w": "majority", "wtimeout": 0}
        )
    again = admin[SEGMENT_B].command("insert", other.name, documents=[{"_id": 3}])
    assert "writeConcernError" not in again


def test_the_implicit_write_concern_is_the_majority(collection: Collection, app: Client) -> None:
    app[SEGMENT_A].command("insert", collection.name, documents=[{"_id": 1}])
    found = collection.with_options(read_concern=ReadConcern("majority")).find_one()
    assert found == {"_id": 1}


def test_the_default_read_concern_is_applied(
    mongo_lab: MongoLab, admin: Client, collection: Collection
) -> None:
    collection.insert_one({"_id": 1})
    try:
        admin.admin.command(
            "setDefaultRWConcern",
            1,
            defaultReadConcern={"level": "majority"},
            defaultWriteConcern={"w": "majority", "wtimeout": 0},
        )
        before = _majority_reads(mongo_lab)
        assert admin[SEGMENT_A].command("find", collection.name)["cursor"]["firstBatch"]
        assert _majority_reads(mongo_lab) > before
    finally:
        admin.admin.command("setDefaultRWConcern", 1, defaultReadConcern={})


def _majority_reads(lab: MongoLab) -> int:
    with lab.member_client(lab.primary(SHARD_A)) as client:
        counters = client.admin.command("serverStatus")["readConcernCounters"]
    kept: int = counters["nonTransactionOps"]["noneInfo"]["CWRC"]["majority"]
    return kept


def test_sessions(app: Client, collection: Collection) -> None:
    with app.start_session() as session:
        collection.insert_one({"_id": 1}, session=session)
        assert collection.find_one({}, session=session)
    assert app.admin.command("startSession")["id"]["id"]
    app.admin.command("endSessions", [])


def test_a_session_of_another_user_is_another(mongo_lab: MongoLab, collection: Collection) -> None:
    """With the same lsid and number a second user must not join the first one's transaction."""
    collection.insert_one({"_id": 0})
    session = _session(1)
    insert = {"insert": collection.name, "documents": [{"_id": 1}], "startTransaction": True}
    with mongo_lab.raw(mongo_lab.app) as alice, mongo_lab.raw(mongo_lab.admin) as eve:
        assert alice.command({**insert, **session, "$db": SEGMENT_A})["ok"]
        for statement, database in (
            ({"find": collection.name}, SEGMENT_A),
            ({"abortTransaction": 1}, "admin"),
            ({"commitTransaction": 1}, "admin"),
        ):
            reply = eve.command({**statement, **session, "$db": database})
            assert reply["code"] == 251
            assert reply["errorLabels"] == ["TransientTransactionError"]
        assert alice.command({"commitTransaction": 1, **session, "$db": "admin"})["ok"]
    assert collection.count_documents({}) == 2


def _session(number: int) -> Document:
    session = {"id": Binary(uuid.uuid4().bytes, 4)}
    return {"lsid": session, "txnNumber": Int64(number), "autocommit": False}


# Transactions


def test_a_transaction_on_one_shard(app: Client, collection: Collection) -> None:
    collection.insert_one({"_id": 0})
    with app.start_session() as session:
        with session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
            collection.update_one({"_id": 0}, {"$set": {"a": 1}}, session=session)
            assert collection.count_documents({}, session=session) == 2
            assert collection.find_one({"_id": 1}) is None
        assert collection.count_documents({}) == 2
        session.start_transaction()
        collection.insert_one({"_id": 2}, session=session)
        session.abort_transaction()
        assert collection.count_documents({}) == 2


def test_with_transaction_meets_a_conflict(app: Client, collection: Collection) -> None:
    collection.insert_one({"_id": 0, "n": 0})

    def add(session: Any) -> None:
        found = collection.find_one({"_id": 0}, session=session)
        assert found is not None
        collection.update_one({"_id": 0}, {"$set": {"n": found["n"] + 1}}, session=session)

    def work() -> None:
        with app.start_session() as session:
            session.with_transaction(add)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(12)]:
            future.result()
    assert collection.find_one() == {"_id": 0, "n": 12}


def test_a_commit_may_be_repeated(app: Client, collection: Collection) -> None:
    collection.insert_one({"_id": 0})
    with app.start_session() as session:
        session.start_transaction()
        collection.insert_one({"_id": 1}, session=session)
        session.commit_transaction()
        session.commit_transaction()
    assert collection.count_documents({}) == 2


@pytest.mark.parametrize("committed", [True, False])
def test_another_router_can_commit(
    mongo_lab: MongoLab, collection: Collection, committed: bool
) -> None:
    """The router is lost before or after it passed a commit on; a driver asks the other one."""
    collection.insert_one({"_id": 0})
    session = _session(1)
    insert = {"insert": collection.name, "documents": [{"_id": 1}], "startTransaction": True}
    commit = {"commitTransaction": 1, "writeConcern": {"w": "majority"}, **session, "$db": "admin"}
    mongo_lab.start_router(2)
    try:
        with mongo_lab.raw(mongo_lab.app) as one, mongo_lab.raw(mongo_lab.app, router=2) as two:
            reply = one.command({**insert, **session, "$db": SEGMENT_A})
            if committed:
                assert one.command(commit)["ok"]
            again = two.command({**commit, "recoveryToken": reply["recoveryToken"]})
            # mongos may answer a commit that it does not find by ending the transaction.
            assert again["ok"] or (mongo_lab.is_mongos and not committed), again
    finally:
        mongo_lab.stop_router(2)
    assert collection.count_documents({}) == (2 if again["ok"] else 1)


def test_a_transaction_over_two_shards(
    app: Client, collection: Collection, other: Collection, our_limit: None
) -> None:
    collection.insert_one({"_id": 0})
    other.insert_one({"_id": 0})
    with app.start_session() as session:
        session.start_transaction()
        collection.insert_one({"_id": 1}, session=session)
        with pytest.raises(OperationFailure) as raised:
            other.insert_one({"_id": 1}, session=session)
        assert raised.value.code == 263
        assert "mongos" in str(raised.value)
        assert not raised.value.has_error_label("TransientTransactionError")
        session.abort_transaction()
    assert collection.count_documents({}) == other.count_documents({}) == 1


# What mongos alone can do


@pytest.mark.parametrize(
    "command",
    [
        {"shardCollection": f"{SEGMENT_A}.c", "key": {"_id": 1}},
        {"moveChunk": f"{SEGMENT_A}.c", "find": {}, "to": "shard-b"},
        {"movePrimary": SEGMENT_A, "to": "shard-b"},
        {"reshardCollection": f"{SEGMENT_A}.c", "key": {"a": 1}},
        {"addShardToZone": "shard-a", "zone": "z"},
        {"split": f"{SEGMENT_A}.c", "middle": {"_id": 1}},
    ],
)
def test_spreading_a_collection(admin: Client, command: Document, our_limit: None) -> None:
    assert "mongos" in str(refused(115, admin, "admin", command))


def test_sharded_collections(mongo_lab: MongoLab, admin: Client, our_limit: None) -> None:
    """One sharded as mongos would have it done, behind the router's back."""
    home = admin.config.databases.find_one({"_id": SEGMENT_A})
    assert home is not None
    as_mongos = {"databaseVersion": home["version"], "writeConcern": {"w": "majority"}}
    with mongo_lab.member_client(mongo_lab.primary(SHARD_A)) as shard:
        database = shard[SEGMENT_A]
        database.command(
            {"_shardsvrCreateCollection": "spread", "shardKey": {"_id": 1}, **as_mongos}
        )
        try:
            # The shard says that it is sharded, even before the router has read it.
            for command in ({"find": "spread"}, {"insert": "spread", "documents": [{}]}):
                assert "mongos" in str(refused(115, admin, SEGMENT_A, command))
            assert "mongos" in str(refused(115, admin, SEGMENT_A, {"dropDatabase": 1}))
        finally:
            database.command({"_shardsvrDropCollection": "spread", **as_mongos})
    admin.admin.command("flushRouterConfig")
    admin[SEGMENT_A].spread.insert_one({"_id": 1})
    admin[SEGMENT_A].spread.drop()


# Errors


def test_unknown_commands(app: Client) -> None:
    refused(59, app, SEGMENT_A, {"nonsense": 1})
    refused(59, app, "admin", {"nonsense": 1})


def test_unknown_fields(app: Client) -> None:
    refused(40415, app, SEGMENT_A, {"find": "c", "nonsense": 1})


@pytest.mark.parametrize(
    "field", [{"shardVersion": {}}, {"databaseVersion": {}}, {"fromMongos": True}, {"term": 1}]
)
def test_internal_fields_are_not_for_clients(app: Client, field: Document) -> None:
    with pytest.raises(OperationFailure):
        app[SEGMENT_A].command({"aggregate": "c", "pipeline": [], "cursor": {}, **field})


def test_commands_of_a_replica_set(admin: Client) -> None:
    with pytest.raises(OperationFailure, match="not supported through mongos"):
        admin.admin.command("replSetGetStatus")


def test_the_local_database(admin: Client) -> None:
    refused(20, admin, "local", {"find": "oplog.rs"})


def test_names_of_databases(app: Client) -> None:
    refused(73, app, "x" * 64, {"find": "c"})


def test_a_stage_that_is_none(app: Client) -> None:
    refused(40324, app, SEGMENT_A, {"aggregate": "c", "pipeline": [{"$nonsense": 1}], "cursor": {}})


def test_time_limits(collection: Collection) -> None:
    collection.insert_many([{} for _ in range(50)])
    with pytest.raises(ExecutionTimeout):
        collection.find({"$where": "sleep(100) || true"}).max_time_ms(200).to_list()


def test_errors_of_the_shard_are_passed_on(collection: Collection) -> None:
    with pytest.raises(OperationFailure) as raised:
        collection.find_one({"$nonsense": 1})
    assert raised.value.code == 2
    collection.insert_one({"_id": 1})
    with pytest.raises(WriteError) as write:
        collection.update_one({"_id": 1}, {"$set": {"_id": 2}})
    assert write.value.code == 66


# Cluster administration


def test_shards(admin: Client) -> None:
    shards = admin.admin.command("listShards")["shards"]
    assert {shard["_id"]: shard["host"].split("/")[0] for shard in shards} == {
        "shard-a": "shard-a",
        "shard-b": "shard-b",
    }
    assert set(admin.admin.command("getShardMap")["map"]) == {"shard-a", "shard-b", "config"}


def test_administration_is_repeatable(admin: Client) -> None:
    hosts = next(
        shard["host"]
        for shard in admin.admin.command("listShards")["shards"]
        if shard["_id"] == "shard-a"
    )
    assert admin.admin.command("addShard", hosts, name="shard-a")["shardAdded"] == "shard-a"
    assert admin.admin.command("enableSharding", SEGMENT_A, primaryShard="shard-a")["ok"]
    refused(48, admin, "admin", {"enableSharding": SEGMENT_A, "primaryShard": "shard-b"})


def test_adding_a_shard_that_is_none(admin: Client) -> None:
    with pytest.raises(OperationFailure):
        admin.admin.command("addShard", "nobody/127.81.9.9:27018", name="nobody", maxTimeMS=2000)


def test_the_balancer(admin: Client) -> None:
    assert admin.admin.command("balancerStatus")["mode"] in {"full", "off"}
    admin.admin.command("balancerStop")
    assert admin.admin.command("balancerStatus")["mode"] == "off"
    admin.admin.command("balancerStart")
    assert admin.admin.command("balancerStatus")["mode"] == "full"


def test_users_and_roles(admin: Client, mongo_lab: MongoLab) -> None:
    admin.admin.command("createRole", "lookers", privileges=[], roles=["clusterMonitor"])
    admin.admin.command("createUser", "looker", pwd="one", roles=["lookers"])
    user = User("looker", "one", ())
    with mongo_lab.client(user) as client:
        assert client.admin.command("listShards")
        refused(13, client, SEGMENT_A, {"find": "c"})
        admin.admin.command("grantRolesToUser", "looker", roles=[{"role": "read", "db": SEGMENT_A}])
        eventually("the new role", lambda: _may(client, SEGMENT_A, {"find": "c"}))
        admin.admin.command("updateUser", "looker", pwd="two")
    with mongo_lab.client(user) as client, pytest.raises(OperationFailure):
        client.admin.command("listShards")
    with mongo_lab.client(User("looker", "two", ())) as client:
        assert client.admin.command("listShards")
        admin.admin.command("dropUser", "looker")
        eventually("the end of the user", lambda: not _may(client, "admin", {"listShards": 1}))
    admin.admin.command("dropRole", "lookers")
    names = [user["user"] for user in admin.admin.command("usersInfo")["users"]]
    assert "looker" not in names


def _may(client: Client, database: str, command: Document) -> bool:
    try:
        client[database].command(command)
    except OperationFailure as error:
        if error.code not in {13, 18}:
            raise
        return False
    return True


# Many at once


def test_a_hundred_clients_at_once(mongo_lab: MongoLab) -> None:
    failures: list[Exception] = []
    together = threading.Barrier(100)

    def work(number: int) -> None:
        try:
            with mongo_lab.client(mongo_lab.app, serverSelectionTimeoutMS=60_000) as client:
                together.wait(60)
                collection = client[SEGMENTS[number % 2]].crowd
                for step in range(5):
                    collection.insert_one({"_id": f"{number}-{step}"})
                    assert collection.find_one({"_id": f"{number}-{step}"})
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures
    with mongo_lab.client(mongo_lab.app) as client:
        assert sum(client[segment].crowd.count_documents({}) for segment in SEGMENTS) == 500
        for segment in SEGMENTS:
            client[segment].crowd.drop()


class _Failures(monitoring.CommandListener):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None: ...

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.seen.append(f"{event.command_name}: {event.failure}")


def test_a_step_down_is_not_felt(mongo_lab: MongoLab, admin: Client) -> None:
    """With retryable writes on, no error reaches the application."""
    listener = _Failures()
    stop = threading.Event()
    written: list[int] = []
    failures: list[Exception] = []
    client: Client = MongoClient(mongo_lab.uri(mongo_lab.app), event_listeners=[listener])
    collection = client[SEGMENT_A].stepdown

    def work(offset: int) -> None:
        number = offset
        while not stop.is_set():
            try:
                collection.insert_one({"_id": number})
            except Exception as error:  # noqa: BLE001 - shown by the test
                failures.append(error)
                return
            written.append(number)
            number += 4

    with client:
        collection.drop()
        threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        eventually("first writes", lambda: len(written) > 20)
        before = mongo_lab.primary(SHARD_A)
        with mongo_lab.member_client(before) as member:
            member.admin.command("replSetStepDown", 10)
        eventually("another primary", lambda: mongo_lab.primary(SHARD_A) != before, seconds=60)
        count = len(written)
        eventually("later writes", lambda: len(written) > count + 20, seconds=60)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert not failures
        stored = {each["_id"] for each in collection.find({}, {"_id": 1})}
        assert stored == set(written)
        collection.drop()
    mongo_lab.whole()


def test_strangers_are_refused(mongo_lab: MongoLab) -> None:
    with mongo_lab.client(None) as stranger:
        assert stranger.admin.command("hello")["ok"]
        assert stranger.admin.command("ping")["ok"]
        for database, command in (
            (SEGMENT_A, {"find": "c"}),
            (SEGMENT_A, {"insert": "c", "documents": [{}]}),
            ("admin", {"listDatabases": 1}),
            ("admin", {"serverStatus": 1}),
            ("admin", {"usersInfo": 1}),
            ("admin", {"createUser": "x", "pwd": "x", "roles": ["root"]}),
            ("admin", {"listShards": 1}),
            ("admin", {"addShard": "x/y:1"}),
            ("config", {"find": "shards"}),
        ):
            refused(13, stranger, database, command)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"password": "wrong"}, {18}),
        ({"username": "nobody"}, {18}),
        ({"authSource": SEGMENT_A}, {18}),
        ({"authMechanism": "PLAIN", "authSource": "$external"}, {18, 334, 2}),
    ],
)
def test_wrong_credentials(mongo_lab: MongoLab, changes: Document, codes: set[int]) -> None:
    options = {
        "username": "app",
        "password": mongo_lab.app.password,
        "authSource": "admin",
        "authMechanism": "SCRAM-SHA-256",
    } | changes
    with (
        MongoClient(mongo_lab.uri(), serverSelectionTimeoutMS=5000, **options) as client,
        pytest.raises((OperationFailure, ConnectionFailure)) as raised,
    ):
        client[SEGMENT_A].command({"find": "c"})
    assert isinstance(raised.value, OperationFailure)
    assert raised.value.code in codes
