"""Whatever is thrown at a router's port: it answers or closes, and goes on serving the others."""

import random
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import bson
import psutil
import pytest

from mongo.router import wire
from mongo.router.table import BY_NAME
from tests.integration.mongo_lab import (
    ROUTER_ADDRESS,
    ROUTER_PORT,
    SEGMENT_A,
    MongoLab,
    RawClient,
    eventually,
)

pytestmark = pytest.mark.servers

SECONDS = 8.0  # of each storm
WORKERS = 8
MEMBERS = 9  # servers that the router keeps pools of connections to
OWN_FILES = 60  # listeners, logs, monitors of the sets
# What an allocator may keep after a storm, and after the router has warmed up.
MEMORY_GROWTH = 64 * 1024 * 1024

Throw = Callable[[random.Random], bytes]


def _message(rng: random.Random) -> bytes:
    name = rng.choice([*BY_NAME, "nonsense", "$eval", ""])
    fields = {name: rng.choice([1, "c", {"a": 1}, [1], None]), "$db": rng.choice(["admin", "x", 1])}
    for field in rng.sample(["lsid", "pipeline", "documents", "payload", "maxTimeMS", "x"], 2):
        fields[field] = rng.choice([1, "x", {"id": 1}, [{"$match": {}}], b"\0", 2**40, -1])
    return b"".join(wire.message(rng.getrandbits(31), 0, bson.encode(fields)))


def noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 200))


def framed_noise(rng: random.Random) -> bytes:
    payload = rng.randbytes(rng.randrange(1, 200))
    opcode = rng.choice([wire.OP_MSG, wire.OP_QUERY, 2012, 2005, 0, -1])
    return wire.HEADER.pack(16 + len(payload), 1, 0, opcode) + payload


def sizes(rng: random.Random) -> bytes:
    size = rng.choice([0, -1, 15, 16, 17, 2**31 - 1, -(2**31), 48_000_001, 65_537])
    return wire.HEADER.pack(size, 1, 0, wire.OP_MSG) + rng.randbytes(32)


def damaged(rng: random.Random) -> bytes:
    raw = bytearray(_message(rng))
    for _ in range(rng.randrange(1, 6)):
        raw[rng.randrange(len(raw))] = rng.getrandbits(8)
    return bytes(raw)


def cut(rng: random.Random) -> bytes:
    raw = _message(rng)
    return raw[: rng.randrange(1, len(raw))]


def nested(rng: random.Random) -> bytes:
    raw = b"\5\0\0\0\0"
    for _ in range(rng.randrange(100, 3000)):
        raw = struct.pack("<i", len(raw) + 8) + b"\x03a\0" + raw + b"\0"
    body = b"\x10find\0\1\0\0\0\x03filter\0" + raw + b"\x02$db\0\2\0\0\0x\0"
    whole = struct.pack("<i", len(body) + 5) + body + b"\0"
    return b"".join(wire.message(1, 0, whole))


def checksums(rng: random.Random) -> bytes:
    payload = struct.pack("<I", 1) + b"\0" + bson.encode({"ping": 1, "$db": "admin"})
    payload += rng.randbytes(4)
    return wire.HEADER.pack(16 + len(payload), 1, 0, wire.OP_MSG) + payload


def many_sections(rng: random.Random) -> bytes:
    section = b"\1" + struct.pack("<i", 4 + 2) + b"d\0"
    payload = struct.pack("<I", 0) + section * rng.randrange(1, 5000)
    return wire.HEADER.pack(16 + len(payload), 1, 0, wire.OP_MSG) + payload


THROWS: list[Throw] = [
    noise,
    framed_noise,
    sizes,
    damaged,
    cut,
    nested,
    checksums,
    many_sections,
    _message,
]


def _throw_for(seed: int, until: float) -> int:
    """Throw at new connections until then; every one must be answered or closed in time."""
    rng, thrown = random.Random(seed), 0
    while time.monotonic() < until:
        place = (ROUTER_ADDRESS.format(1), ROUTER_PORT)
        with socket.create_connection(place, timeout=10) as connection:
            try:
                for _ in range(rng.randrange(1, 4)):
                    connection.sendall(rng.choice(THROWS)(rng))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except TimeoutError:
                raise
            except OSError:  # closed on us: as good an answer as any
                pass
        thrown += 1
    return thrown


def _storm(lab: MongoLab, work: Callable[[int, float], int]) -> int:
    """Run `work` in threads; the router must come out of it as it went in. Returns the count."""
    process = psutil.Process(lab.processes["router-1"].pid)
    with ThreadPoolExecutor(WORKERS) as pool:  # a warm-up, so that only growth is measured
        list(pool.map(work, range(WORKERS), [time.monotonic() + 1] * WORKERS))
    _settled(process)
    before, before_memory = _clients(process), process.memory_info().rss
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(WORKERS) as pool:
        count = sum(pool.map(work, range(100, 100 + WORKERS), [until] * WORKERS))
    eventually("closed connections", lambda: _clients(process) <= before, seconds=20)
    # What it keeps open to servers is bounded by how many commands ran at once.
    assert process.num_fds() <= OWN_FILES + WORKERS * MEMBERS
    assert process.memory_info().rss <= before_memory + MEMORY_GROWTH
    assert "defect" not in lab.log("router-1")
    with lab.client(lab.app) as client:
        client[SEGMENT_A].fuzz.insert_one({})
        client[SEGMENT_A].fuzz.drop()
    return count


def _clients(process: psutil.Process) -> int:
    """How many client connections the router has."""
    return sum(
        one.laddr.port == ROUTER_PORT and one.status == psutil.CONN_ESTABLISHED
        for one in process.net_connections("tcp")
    )


def _settled(process: psutil.Process) -> None:
    files: list[int] = []

    def steady() -> bool:
        files.append(process.num_fds())
        return len(files) > 3 and len(set(files[-3:])) == 1

    eventually("a steady router", steady)


def test_strangers_throw_anything(mongo_lab: MongoLab, our_limit: None) -> None:
    assert _storm(mongo_lab, _throw_for) > 100


def test_users_send_nonsense(mongo_lab: MongoLab, our_limit: None) -> None:
    """Commands that are well-formed BSON and make no sense, from one who may do a lot."""

    def work(seed: int, until: float) -> int:
        rng, sent = random.Random(seed), 0
        while time.monotonic() < until:
            with mongo_lab.raw(mongo_lab.app) as raw:
                for _ in range(50):
                    if not _send(raw, rng):
                        break
                    sent += 1
        return sent

    assert _storm(mongo_lab, work) > 100


HARMLESS = [name for name in BY_NAME if name not in {"addShard", "removeShard", "logout"}]
VALUES = [
    0,
    1,
    -1,
    1.5,
    "c",
    "",
    "system.users",
    None,
    True,
    b"x",
    [],
    [1],
    [{}],
    {},
    {"a": 1},
    {"level": "majority"},
    {"w": -1},
    {"mode": "secondary"},
    {"id": bson.Binary(b"0" * 16, 4)},
    [{"$lookup": {}}],
    [{"$facet": {"a": [{"$out": 1}]}}],
    [{"q": {}, "u": {}}],
    {"find": "c"},
    {"$db": 1},
    2**62,
    bson.Int64(5),
    bson.Timestamp(1, 1),
    bson.MaxKey(),
]


def _send(raw: RawClient, rng: random.Random) -> bool:
    """Whether the router is still on the line after a random command."""
    name = rng.choice(HARMLESS)
    spec = BY_NAME[name]
    known = sorted({*(spec.fields or {"x"}), "lsid", "txnNumber", "autocommit", "startTransaction"})
    more = [*known, "readConcern", "writeConcern", "$readPreference", "maxTimeMS", "$clusterTime"]
    database = rng.choice([SEGMENT_A, SEGMENT_A, "admin", "config", "nowhere"])
    fields = {name: rng.choice(VALUES), "$db": database}
    for field in rng.sample(more, min(len(more), rng.randrange(5))):
        fields[field] = rng.choice(VALUES)
    if fields.get("maxTimeMS") not in (0, 1, None):
        fields["maxTimeMS"] = 50
    try:
        answer = raw.command(fields)
    except ConnectionError:
        return False
    assert "ok" in answer, (fields, answer)
    if not answer["ok"]:
        assert answer["errmsg"], (fields, answer)  # mongod itself leaves out some codes
    return True


def test_who_says_nothing_more_costs_little(mongo_lab: MongoLab, our_limit: None) -> None:
    """Two hundred half messages are held open while others are served."""
    place = (ROUTER_ADDRESS.format(1), ROUTER_PORT)
    open_ones = [socket.create_connection(place, timeout=10) for _ in range(200)]
    try:
        for each in open_ones:
            each.sendall(wire.HEADER.pack(60_000, 1, 0, wire.OP_MSG) + bytes(1000))
        with mongo_lab.client(mongo_lab.app) as client:
            began = time.monotonic()
            for _ in range(50):
                client[SEGMENT_A].c.find_one()
            assert time.monotonic() - began < 10
    finally:
        for each in open_ones:
            each.close()


def test_strangers_get_no_memory(mongo_lab: MongoLab, our_limit: None) -> None:
    """A message too large for one who has not logged in is not read."""
    place = (ROUTER_ADDRESS.format(1), ROUTER_PORT)
    with socket.create_connection(place, timeout=10) as connection:
        connection.sendall(wire.HEADER.pack(40_000_000, 1, 0, wire.OP_MSG))
        assert connection.recv(10) == b""
