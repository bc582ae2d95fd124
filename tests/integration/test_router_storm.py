"""A real router before one real server, in a storm of what pymongo sent, damaged.

It answers or closes in time, goes on serving others, and gives back what it took.
"""

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import bson
import psutil
import pytest
from pymongo import MongoClient

from mongo.router import wire
from mongo.router.server import MAX_STRANGER_BYTES
from tests.integration.mongo_lab import (
    ROUTER_PORT,
    Member,
    MongoLab,
    RawClient,
    User,
    eventually,
    make_lab,
)
from tests.integration.wire_mutations import (
    command_of,
    exercise,
    is_whole,
    legacy_handshake,
    one_of_each,
    recorder,
    sized,
    thrown,
)

pytestmark = pytest.mark.servers

FEW, MANY, WORKERS = 400, 20_000, 4
ANSWER_SECONDS = 20.0  # for whatever was sent, on a machine that others load
# What an allocator may keep, and what is opened once: a connection to the server for each worker.
BYTES, FILES = 48 * 1024 * 1024, 2 * WORKERS
LAST = 0x7FFFFFF0  # the number of the request that ends a case
STORM = User("storm", "storm", ({"role": "readWrite", "db": "admin"},))
GATE = ("127.81.62.1", 27017)


@pytest.fixture(scope="module")
def center() -> Iterator[MongoLab]:
    """One config server and a router: the smallest thing that serves a database."""
    lab = make_lab()
    lab.config = (Member("config", "127.81.60.1", 27019),)
    lab.router_address = "127.81.61.{}"
    try:
        lab.start_center()
        with lab.client(lab.admin) as client:
            client.admin.command("createUser", STORM.name, pwd="storm", roles=list(STORM.roles))
        if lab.is_mongos:
            pytest.skip("mongos runs here: it has its own makers' tests")
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="module")
def recorded(center: MongoLab) -> list[bytes]:
    """What a driver says to a router."""
    with recorder(GATE, _place(center)) as found:
        address = f"mongodb://storm:storm@{GATE[0]}:{GATE[1]}/?authSource=admin"
        with MongoClient(address, serverSelectionTimeoutMS=10_000) as client:
            exercise(client)
    names = {command_of(each) for each in found}
    assert names > {"2013 insert", "2013 getMore", "2013 saslContinue"}, names
    return [legacy_handshake(), *(each for each in found if len(each) < 30_000)]


def _place(lab: MongoLab) -> tuple[str, int]:
    return lab.router_address.format(1), ROUTER_PORT


@dataclass
class Figures:
    """What a storm came to."""

    cases: int = 0
    answered: int = 0
    closed: int = 0
    slowest: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Figures") -> None:
        """The figures of another thread."""
        self.cases += other.cases
        self.answered += other.answered
        self.closed += other.closed
        self.slowest = max(self.slowest, other.slowest)
        self.kinds += other.kinds


class Thrower:
    """One connection at a time, a stranger's or a user's; a new one where it was closed."""

    def __init__(self, lab: MongoLab, user: User | None) -> None:
        self._lab, self._user = lab, user
        self._limit = wire.MAX_MESSAGE_BYTES if user else MAX_STRANGER_BYTES
        self._socket: socket.socket | None = None
        self.figures = Figures()

    def throw(self, kind: str, raw: bytes, which: str) -> None:
        """Send it; the router must answer what comes behind it, or close."""
        began = time.monotonic()
        try:
            answered = self._sent(raw)
        except TimeoutError as error:
            error.add_note(f"{which}: {kind}: neither answered nor closed: {raw[:2000].hex()}")
            raise
        figures = self.figures
        figures.cases += 1
        figures.kinds[kind] += 1
        figures.answered += answered
        figures.closed += not answered
        figures.slowest = max(figures.slowest, time.monotonic() - began)

    def close(self) -> None:
        """Go away."""
        if self._socket:
            self._socket.close()
        self._socket = None

    def _sent(self, raw: bytes) -> bool:
        line = self._connected()
        try:
            line.sendall(raw)
            if is_whole(raw, self._limit):
                line.sendall(b"".join(wire.message(LAST, 0, bson.encode(PING))))
            else:
                line.shutdown(socket.SHUT_WR)
            answered = _answers(line)
        except TimeoutError:
            raise
        except OSError:  # closed on us: as good an answer as any
            answered = False
        if not answered:
            self.close()
        return answered

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(_place(self._lab), timeout=ANSWER_SECONDS)
            if self._user:
                RawClient(self._socket).log_in(self._user)
        return self._socket


PING = {"ping": 1, "$db": "admin"}


def _answers(line: socket.socket) -> bool:
    """Whether the answer to the last request comes; False where the router closes before."""
    kept = b""
    while True:
        while len(kept) >= 16 and len(kept) >= (head := wire.HEADER.unpack_from(kept))[0]:
            if head[2] == LAST:
                return True
            kept = kept[head[0] :]
        piece = line.recv(1 << 16)
        if not piece:
            return False
        kept += piece


def storm(lab: MongoLab, recorded: list[bytes], user: User | None, seed: int, n: int) -> Figures:
    """So many cases from a few threads; afterwards the router is as it was before."""
    process = psutil.Process(lab.processes["router-1"].pid)
    _threads(lab, recorded, user, seed + 1000, max(n // 5, 100))  # a warm-up: growth is measured
    eventually("no client", lambda: _clients(process) == 0, seconds=20)
    files, memory, began = process.num_fds(), process.memory_info().rss, time.monotonic()
    figures = _threads(lab, recorded, user, seed, n)
    took = time.monotonic() - began
    eventually("no client", lambda: _clients(process) == 0, seconds=20)
    more = process.memory_info().rss - memory
    print(f"{figures}, {took:.0f} s, {more / 2**20:+.1f} MiB, {process.num_fds() - files:+} files")
    _serves(lab)
    assert "defect" not in lab.log("router-1")
    assert more < BYTES
    assert process.num_fds() <= files + FILES
    assert figures.answered > n // 20
    assert figures.closed > n // 20
    return figures


def _threads(
    lab: MongoLab, recorded: list[bytes], user: User | None, seed: int, cases: int
) -> Figures:
    def work(worker: int) -> Figures:
        thrower = Thrower(lab, user)
        for number in range(worker, cases, WORKERS):
            which = seed * 10**9 + number
            throw = thrown(recorded, random.Random(which))
            thrower.throw(throw.kind, throw.raw, f"case {which}")
        thrower.close()
        return thrower.figures

    whole = Figures()
    with ThreadPoolExecutor(WORKERS) as pool:
        for figures in pool.map(work, range(WORKERS)):
            whole.add(figures)
    return whole


def _clients(process: psutil.Process) -> int:
    return sum(
        one.laddr.port == ROUTER_PORT and one.status == psutil.CONN_ESTABLISHED
        for one in process.net_connections("tcp")
    )


def _serves(lab: MongoLab) -> None:
    """A good client is served as ever."""
    with lab.client(STORM) as client:
        client.admin.good.insert_one({"_id": 1})
        assert client.admin.good.find_one() == {"_id": 1}
        client.admin.good.drop()


def test_strangers_in_a_storm(center: MongoLab, recorded: list[bytes]) -> None:
    storm(center, recorded, None, 1, FEW)


def test_users_in_a_storm(center: MongoLab, recorded: list[bytes]) -> None:
    storm(center, recorded, STORM, 2, FEW)


@pytest.mark.exhaustive
def test_strangers_in_a_long_storm(center: MongoLab, recorded: list[bytes]) -> None:
    storm(center, recorded, None, 3, MANY)


@pytest.mark.exhaustive
def test_users_in_a_long_storm(center: MongoLab, recorded: list[bytes]) -> None:
    storm(center, recorded, STORM, 4, MANY)


def _every_cut(lab: MongoLab, messages: list[bytes], step: int) -> Figures:
    thrower = Thrower(lab, None)
    for raw in messages:
        for at in range(1, len(raw), step):
            thrower.throw("cut", raw[:at], f"{command_of(raw)} at {at}")
            if at > wire.HEADER.size:
                thrower.throw("cut, sized", sized(raw[:at]), f"{command_of(raw)} to {at}")
    thrower.close()
    _serves(lab)
    assert "defect" not in lab.log("router-1")
    print(thrower.figures)
    return thrower.figures


def test_messages_that_are_cut_at_some_bytes(center: MongoLab, recorded: list[bytes]) -> None:
    assert _every_cut(center, one_of_each(recorded), step=23).cases > 200


@pytest.mark.exhaustive
def test_messages_that_are_cut_at_every_byte(center: MongoLab, recorded: list[bytes]) -> None:
    assert _every_cut(center, one_of_each(recorded), step=1).cases > 5000


def test_who_sends_a_byte_at_a_time_is_answered_and_holds_up_nobody(center: MongoLab) -> None:
    raw = b"".join(wire.message(LAST, 0, bson.encode(PING)))
    lines = [socket.create_connection(_place(center), timeout=ANSWER_SECONDS) for _ in range(30)]
    with center.client(STORM) as client:
        for at in range(len(raw)):
            for line in lines:
                line.sendall(raw[at : at + 1])
            if at % 10 == 0:
                client.admin.good.find_one()
        assert all(_answers(line) for line in lines)
    for line in lines:
        line.close()


def test_the_largest_messages_leave_nothing_behind(center: MongoLab) -> None:
    """Three documents of nearly 16 MB in one message, and one byte more than may be."""
    process = psutil.Process(center.processes["router-1"].pid)
    most = {"_id": "most", "x": b"x" * 15_900_000}
    body = {"insert": "storm", "$db": "admin", "ordered": False}
    memory = process.memory_info().rss
    for _ in range(3):
        with center.raw(STORM) as raw:
            raw.socket.settimeout(60)
            answer = raw.command(body, documents=[{**most, "_id": i} for i in range(3)])
            assert answer["ok"] == 1, answer
            assert raw.command({"drop": "storm", "$db": "admin"})["ok"]
    with center.raw(STORM) as raw:
        raw.socket.sendall(wire.HEADER.pack(wire.MAX_MESSAGE_BYTES + 1, 1, 0, wire.OP_MSG))
        assert raw.socket.recv(10) == b""
    eventually("its memory again", lambda: process.memory_info().rss < memory + BYTES, seconds=20)
    _serves(center)


@pytest.mark.exhaustive
def test_half_a_message_is_waited_for_a_minute_and_no_longer(center: MongoLab) -> None:
    began = time.monotonic()
    with socket.create_connection(_place(center), timeout=wire.WHOLE_SECONDS + 30) as line:
        line.sendall(wire.HEADER.pack(1000, 1, 0, wire.OP_MSG) + b"x")
        assert line.recv(1) == b""
    assert time.monotonic() - began > wire.WHOLE_SECONDS - 1


@pytest.mark.exhaustive
def test_who_takes_no_answers_is_left_after_a_minute(center: MongoLab) -> None:
    with center.client(STORM) as client:
        client.admin.large.insert_one({"x": b"x" * 15_000_000})
    with center.raw(STORM) as raw:
        raw.socket.settimeout(wire.WHOLE_SECONDS + 60)
        began = time.monotonic()
        find = b"".join(wire.message(1, 0, bson.encode({"find": "large", "$db": "admin"})))
        with suppress(ConnectionError):
            while time.monotonic() - began < wire.WHOLE_SECONDS + 30:
                raw.socket.sendall(find)
                time.sleep(0.2)
        assert wire.WHOLE_SECONDS - 1 < time.monotonic() - began < wire.WHOLE_SECONDS + 20
    with center.client(STORM) as client:
        client.admin.large.drop()
