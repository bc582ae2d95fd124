"""What clients of a router meet when servers behind it die, freeze or come back."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import Int64
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, WriteError

from tests.integration.mongo_lab import (
    CONFIG,
    SEGMENT_A,
    SEGMENT_B,
    SHARD_A,
    SHARD_B,
    Client,
    MongoLab,
    eventually,
)

pytestmark = pytest.mark.servers

NOT_SENT = 133
UNKNOWN = {6, 89}


@dataclass
class Writers:
    """Insert numbered documents one after the other, and note what became of each."""

    client: Client
    segment: str
    name: str
    threads: int = 4
    acked: set[str] = field(default_factory=set)
    failed: dict[str, PyMongoError] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Writers":
        self.client[self.segment][self.name].drop()
        for number in range(self.threads):
            thread = threading.Thread(target=self._work, args=(number,))
            thread.start()
            self._running.append(thread)
        self.progress(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(120)

    def progress(self, count: int = 20, seconds: float = 60) -> float:
        """Wait for `count` more acknowledgements; returns the seconds until the first."""
        began, before = time.monotonic(), len(self.acked)
        eventually("a write", lambda: len(self.acked) > before, seconds)
        first = time.monotonic() - began
        eventually(f"{count} writes", lambda: len(self.acked) >= before + count, seconds)
        return first

    def stored(self) -> set[str]:
        """What a majority has."""
        return {each["_id"] for each in self.client[self.segment][self.name].find({}, {"_id": 1})}

    def _work(self, thread: int) -> None:
        collection = self.client[self.segment][self.name]
        number = 0
        while not self._stop.is_set():
            number += 1
            key = f"{thread}-{number}"
            try:
                collection.insert_one({"_id": key})
            except PyMongoError as error:
                self.failed[key] = error
            else:
                self.acked.add(key)


@pytest.fixture(autouse=True)
def whole(mongo_lab: MongoLab) -> Iterator[None]:
    """Each test begins and ends with everything up."""
    yield
    for members in (CONFIG, SHARD_A, SHARD_B):
        for member in members:
            if member.host in mongo_lab.processes:
                mongo_lab.send(member, signal.SIGCONT)
    mongo_lab.whole()


def test_retryable_writes_survive_a_killed_primary(mongo_lab: MongoLab) -> None:
    with (
        mongo_lab.client(mongo_lab.app, serverSelectionTimeoutMS=30_000) as client,
        Writers(client, SEGMENT_A, "killed") as writers,
    ):
        mongo_lab.kill(mongo_lab.primary(SHARD_A))
        writers.progress()
    assert not writers.failed
    with mongo_lab.client(mongo_lab.app) as client:
        stored = {each["_id"] for each in client[SEGMENT_A].killed.find()}
    assert stored == writers.acked


def test_errors_tell_the_truth_about_writes(mongo_lab: MongoLab) -> None:
    """Without retries: what is acked is there, what was "not sent" is not, the rest may be."""
    with mongo_lab.client(
        mongo_lab.app, retryWrites=False, serverSelectionTimeoutMS=30_000
    ) as client:
        with Writers(client, SEGMENT_A, "truth", threads=16) as writers:
            mongo_lab.kill(mongo_lab.primary(SHARD_A))
            writers.progress()
        stored = writers.stored()
    assert writers.acked <= stored
    codes: Counter[int | None] = Counter()
    for key, error in writers.failed.items():
        code = error.code if isinstance(error, OperationFailure) else None
        codes[code] += 1
        if code == NOT_SENT:
            assert key not in stored
        else:
            assert code in UNKNOWN or isinstance(error, AutoReconnect), error
    assert sum(codes.values()) <= 32, codes  # at most what was under way, and its next try


def test_nobody_is_refused_at_the_door_of_a_former_primary(mongo_lab: MongoLab) -> None:
    """Without retries of the driver: the router looks for the new primary by itself."""
    with mongo_lab.client(mongo_lab.app, retryWrites=False) as client:
        with Writers(client, SEGMENT_A, "door", threads=8) as writers:
            before = mongo_lab.primary(SHARD_A)
            with mongo_lab.member_client(before) as member:
                member.admin.command("replSetStepDown", 10)
            eventually("another primary", lambda: mongo_lab.primary(SHARD_A) != before)
            writers.progress(50)
        stored = writers.stored()
    assert writers.acked <= stored
    # A writer may meet a step-down twice: its write that waits for a majority is interrupted, and
    # the next one, let in before the door closed, waits for the lock that the step-down then has.
    assert len(writers.failed) <= 2 * writers.threads
    for key, error in writers.failed.items():
        code = error.code if isinstance(error, OperationFailure) else None
        # What was under way was interrupted; what came after waited.
        assert code in UNKNOWN, error
        assert "NotWritablePrimary" not in str(error)
        if isinstance(error, WriteError):
            assert key not in stored


def test_a_shard_that_is_down_leaves_the_other_alone(mongo_lab: MongoLab) -> None:
    client = mongo_lab.client(mongo_lab.app, retryWrites=False)
    with client, Writers(client, SEGMENT_A, "alone") as writers:
        client[SEGMENT_B].alone.insert_one({})
        mongo_lab.kill(SHARD_B[0])
        began = time.monotonic()
        with pytest.raises(OperationFailure) as raised:
            client[SEGMENT_B].command("insert", "alone", documents=[{}], maxTimeMS=2000)
        assert raised.value.code in {NOT_SENT, 50}
        assert time.monotonic() - began < 10
        writers.progress()
        mongo_lab.start(SHARD_B[0])
        mongo_lab.primary(SHARD_B)
        client[SEGMENT_B].alone.insert_one({})
    assert not writers.failed


def test_how_long_to_look_for_a_primary_is_configured(mongo_lab: MongoLab, our_limit: None) -> None:
    mongo_lab.start_router(2, limits={"selection": 1.5})
    try:
        with mongo_lab.client(mongo_lab.app, router=2, retryWrites=False) as client:
            client[SEGMENT_B].patience.insert_one({})
            mongo_lab.kill(SHARD_B[0])
            for operation in (
                lambda: client[SEGMENT_B].patience.insert_one({"_id": "never"}),
                client[SEGMENT_B].patience.find_one,
            ):
                began = time.monotonic()
                with pytest.raises(OperationFailure) as raised:
                    operation()
                assert raised.value.code == NOT_SENT
                assert 1 < time.monotonic() - began < 6
            mongo_lab.start(SHARD_B[0])
            mongo_lab.primary(SHARD_B)
            eventually("the shard", _works(client[SEGMENT_B].patience.find_one))
            assert client[SEGMENT_B].patience.find_one({"_id": "never"}) is None
    finally:
        mongo_lab.stop_router(2)


def _works(action: Callable[[], Any]) -> Callable[[], bool]:
    def tried() -> bool:
        try:
            action()
        except PyMongoError:
            return False
        return True

    return tried


def test_the_data_path_survives_the_config_servers(mongo_lab: MongoLab) -> None:
    with (
        mongo_lab.client(mongo_lab.app) as client,
        Writers(client, SEGMENT_A, "config") as writers,
    ):
        client[SEGMENT_B].config.insert_one({})
        mongo_lab.kill(CONFIG[0])
        writers.progress(100)
        client[SEGMENT_B].config.insert_one({})
        with mongo_lab.client(mongo_lab.app) as newcomer:  # logs in by what is remembered
            assert newcomer[SEGMENT_A].config.find_one()
    assert not writers.failed


def test_without_config_servers_nothing_is_made_up(mongo_lab: MongoLab, our_limit: None) -> None:
    """A database that is not known is neither read as empty nor written anywhere."""
    mongo_lab.start_router(2, limits={"selection": 1})
    try:
        with mongo_lab.client(mongo_lab.admin, router=2) as client:
            client[SEGMENT_A].made_up.find_one()
            mongo_lab.kill(CONFIG[0])
            for command in ({"find": "c"}, {"insert": "c", "documents": [{}]}):
                with pytest.raises(OperationFailure) as raised:
                    client.unheard_of.command(command)
                assert raised.value.code == NOT_SENT
            with pytest.raises(OperationFailure) as raised:
                client.admin.command("createUser", "x", pwd="x", roles=[])
            assert raised.value.code == NOT_SENT
    finally:
        mongo_lab.stop_router(2)


def test_a_router_starts_without_config_servers(mongo_lab: MongoLab, our_limit: None) -> None:
    """It answers hello, refuses log-ins it cannot check, and works once they are back."""
    mongo_lab.kill(CONFIG[0])
    mongo_lab.start_router(2, limits={"selection": 1})
    try:
        with mongo_lab.client(None, router=2) as stranger:
            assert stranger.admin.command("hello")["msg"] == "isdbgrid"
        with mongo_lab.client(mongo_lab.app, router=2) as client:
            with pytest.raises(PyMongoError):
                client[SEGMENT_A].c.find_one()
            mongo_lab.start(CONFIG[0])
            mongo_lab.primary(CONFIG)
            eventually("the router", _works(client[SEGMENT_A].c.find_one))
    finally:
        mongo_lab.stop_router(2)


def test_a_frozen_primary_is_left_once_another_is_elected(
    mongo_lab: MongoLab, our_limit: None
) -> None:
    """What waits for the frozen one learns that its outcome is unknown, long before a time-out."""
    with mongo_lab.client(mongo_lab.app, retryWrites=False) as client:
        with Writers(client, SEGMENT_A, "frozen") as writers:
            frozen = mongo_lab.primary(SHARD_A)
            mongo_lab.send(frozen, signal.SIGSTOP)
            eventually("the truth", lambda: len(writers.failed) >= writers.threads, seconds=20)
            mongo_lab.send(frozen, signal.SIGCONT)
            writers.progress()
        stored = writers.stored()
    assert writers.acked <= stored
    assert 1 <= len(writers.failed) <= 8
    for key, error in writers.failed.items():
        assert isinstance(error, OperationFailure), error
        assert error.code in UNKNOWN | {NOT_SENT}, error.details
        if error.code == NOT_SENT:
            assert key not in stored


def test_a_frozen_server_hangs_nobody_for_ever(mongo_lab: MongoLab, our_limit: None) -> None:
    mongo_lab.start_router(2, limits={"command": 2, "margin": 1})
    try:
        with mongo_lab.client(mongo_lab.app, router=2, retryWrites=False) as client:
            client[SEGMENT_B].frozen.insert_one({})
            mongo_lab.send(SHARD_B[0], signal.SIGSTOP)
            for limit, at_most in (({}, 5), ({"maxTimeMS": 500}, 4)):
                began = time.monotonic()
                with pytest.raises(OperationFailure) as raised:
                    client[SEGMENT_B].command("insert", "frozen", documents=[{}], **limit)
                assert raised.value.code in {89, NOT_SENT}
                assert time.monotonic() - began < at_most
            mongo_lab.send(SHARD_B[0], signal.SIGCONT)
            eventually("the shard", _works(client[SEGMENT_B].frozen.find_one))
    finally:
        mongo_lab.stop_router(2)


def test_labels_let_drivers_retry(mongo_lab: MongoLab, our_limit: None) -> None:
    """A numbered write whose server died is sent again by the router, and labelled if in vain."""
    mongo_lab.start_router(2, limits={"selection": 1})
    try:
        with mongo_lab.raw(mongo_lab.app, router=2) as raw:
            session = raw.command({"startSession": 1, "$db": "admin"})["id"]
            numbered = {"lsid": session, "txnNumber": Int64(1), "$db": SEGMENT_B}
            insert = {"insert": "labels", "documents": [{}], **numbered}
            assert raw.command(insert)["ok"]
            again = raw.command(insert)
            assert again["n"] == 1  # executed once: the shard remembers the number
            mongo_lab.kill(SHARD_B[0])
            lost = raw.command(insert)
            assert lost["code"] == NOT_SENT
            assert "errorLabels" not in lost
    finally:
        mongo_lab.stop_router(2)


def test_a_transaction_that_lost_its_primary(mongo_lab: MongoLab) -> None:
    with (
        mongo_lab.client(mongo_lab.app, serverSelectionTimeoutMS=30_000) as client,
        client.start_session() as session,
    ):
        collection = client[SEGMENT_A].transactions
        collection.drop()
        collection.insert_one({"_id": 0})
        calls = 0

        def work(session: Any) -> None:
            nonlocal calls
            calls += 1
            collection.insert_one({"_id": calls}, session=session)
            if calls == 1:
                mongo_lab.kill(mongo_lab.primary(SHARD_A))
            collection.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)

        session.with_transaction(work)
        assert calls >= 2
        assert collection.find_one({"_id": 0}) == {"_id": 0, "n": 1}
        assert collection.count_documents({}) == 2
        collection.drop()


def test_a_change_stream_goes_on_after_a_failover(mongo_lab: MongoLab) -> None:
    with mongo_lab.client(mongo_lab.app, serverSelectionTimeoutMS=30_000) as client:
        collection = client[SEGMENT_A].streamed
        collection.drop()
        collection.insert_one({"_id": 0})
        with collection.watch(max_await_time_ms=500) as stream:
            collection.insert_one({"_id": 1})
            assert next(stream)["documentKey"] == {"_id": 1}
            mongo_lab.kill(mongo_lab.primary(SHARD_A))
            collection.insert_one({"_id": 2})
            assert next(stream)["documentKey"] == {"_id": 2}


def test_clients_use_the_other_router(mongo_lab: MongoLab) -> None:
    mongo_lab.start_router(2)
    both = mongo_lab.uri(mongo_lab.app).replace(":27017/", ":27017,127.81.51.2:27017/")
    client: Client = MongoClient(both, serverSelectionTimeoutMS=20_000)
    try:
        with client, Writers(client, SEGMENT_A, "routers", threads=8) as writers:
            mongo_lab.stop_router(1, signal.SIGKILL)
            writers.progress(100)
        assert not writers.failed
    finally:
        mongo_lab.start_router(1)
        mongo_lab.stop_router(2)


def test_a_router_ends_when_it_is_told(mongo_lab: MongoLab, our_limit: None) -> None:
    """What is under way ends first; the exit code says that all was well."""
    mongo_lab.start_router(2)
    done: list[object] = []
    with mongo_lab.client(mongo_lab.app, router=2) as client:
        collection = client[SEGMENT_A].ending
        collection.insert_one({})

        def slow() -> None:
            done.append(collection.find_one({"$where": "sleep(1500) || true"}))

        thread = threading.Thread(target=slow)
        thread.start()
        eventually("the slow query", lambda: _runs(mongo_lab, "ending"))
        assert mongo_lab.stop_router(2) == 0
        thread.join(30)
    assert len(done) == 1
    assert '"msg": "stopped"' in mongo_lab.log("router-2")


def _runs(lab: MongoLab, collection: str) -> bool:
    with lab.member_client(lab.primary(SHARD_A)) as client:
        running = client.admin.command("currentOp")["inprog"]
    return any(each.get("ns") == f"{SEGMENT_A}.{collection}" for each in running)


def test_more_clients_than_may_be(mongo_lab: MongoLab, our_limit: None) -> None:
    mongo_lab.start_router(2, limits={"max_connections": 5})
    try:
        with mongo_lab.client(mongo_lab.app, router=2, maxPoolSize=1) as first:
            first[SEGMENT_A].c.find_one()
            crowd = [mongo_lab.raw(None, router=2) for _ in range(10)]
            opened = [each.__enter__() for each in crowd]
            answered = 0
            for each in opened:
                try:
                    answered += bool(each.command({"ping": 1, "$db": "admin"})["ok"])
                except OSError:
                    continue
            for each in crowd:
                each.__exit__(None, None, None)
            assert answered <= 5
            eventually("room again", _works(lambda: first.admin.command("ping")))
    finally:
        mongo_lab.stop_router(2)


def test_a_small_pool_makes_clients_wait_their_turn(mongo_lab: MongoLab, our_limit: None) -> None:
    mongo_lab.start_router(2, limits={"pool_size": 2})
    try:
        with mongo_lab.client(mongo_lab.app, router=2) as client:
            with Writers(client, SEGMENT_A, "queue", threads=20) as writers:
                writers.progress(200)
            assert not writers.failed
            with mongo_lab.client(mongo_lab.admin, router=2) as admin:
                held = admin.admin.command("serverStatus")["segmentRouter"]["backendConnections"]
            assert max(held.values()) <= 2
    finally:
        mongo_lab.stop_router(2)


def test_a_router_that_cannot_listen_says_so(mongo_lab: MongoLab, our_limit: None) -> None:
    file = mongo_lab.folder / "router-1.json"
    process = mongo_lab.spawn("router-twice", ["--config", str(file)])
    assert process.wait(30) == 1
    assert "cannot listen" in mongo_lab.log("router-twice")
