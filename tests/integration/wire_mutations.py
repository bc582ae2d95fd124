"""Messages as no driver sends them, made by chance from what pymongo really sent."""

import random
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import bson
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from mongo.router import wire
from mongo.router.crc32c import crc32c
from mongo.router.document import Document
from tests.integration.mongo_lab import Client

OP_COMPRESSED = 2012
INTEGERS = (0, 1, -1, 4, 5, 15, 16, 17, 2**31 - 1, -(2**31), 48_000_000, 48_000_001, 65_537)
VALUES = (
    *(0, -1, 1.5, float("nan"), "", "c", "system.users", "\0", None, True, b"x", [], [{}], {}),
    *({"a": 1}, {"$db": 1}, 2**62, bson.Timestamp(1, 1), bson.MaxKey(), bson.Regex("(a+)+$")),
    *(bson.Code("while(1){}"), bson.DBRef("c", 1), {"$numberLong": "x"}, ["x"] * 50),
)


@contextmanager
def recorder(listen: tuple[str, int], router: tuple[str, int]) -> Iterator[list[bytes]]:
    """Stands before the router for the block; what clients send through it is in the list."""
    found: list[bytes] = []
    with socket.create_server(listen) as server:
        threading.Thread(target=_accept, args=(server, router, found), daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, router: tuple[str, int], found: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            behind = socket.create_connection(router)
            threading.Thread(target=_note, args=(client, behind, found), daemon=True).start()
            threading.Thread(target=_pass, args=(behind, client), daemon=True).start()


def _note(client: socket.socket, behind: socket.socket, found: list[bytes]) -> None:
    """Pass whole messages on, and keep them."""
    with suppress(OSError, struct.error), client, behind:
        kept = b""
        while piece := client.recv(1 << 16):
            kept += piece
            while len(kept) >= 4 and len(kept) >= (size := struct.unpack_from("<i", kept)[0]):
                found.append(kept[:size])
                behind.sendall(kept[:size])
                kept = kept[size:]
        behind.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it


def _pass(behind: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while piece := behind.recv(1 << 16):
            client.sendall(piece)


def exercise(client: Client) -> None:
    """What an application and its driver say to a database, on `admin`, which any router has."""
    rows = client.admin.storm
    rows.insert_many([{"_id": i, "text": "x" * 20, "in": {"a": [1, {"b": 2}]}} for i in range(50)])
    rows.insert_one({"_id": "big", "data": b"z" * 20_000})
    rows.with_options(write_concern=WriteConcern(w=0)).insert_one({"_id": "unacknowledged"})
    rows.create_index([("text", 1)])
    list(rows.find({"text": {"$regex": "^x"}}, batch_size=3).limit(9))
    rows.find({}, batch_size=2).close()
    next(cursor := rows.find({}, batch_size=2))
    cursor.close()
    rows.update_many({"_id": {"$lt": 5}}, {"$set": {"text": "y"}})
    rows.update_one({"_id": 1}, {"$inc": {"n": 1}}, upsert=True, hint="_id_")
    rows.replace_one({"_id": 2}, {"text": "z"})
    rows.find_one_and_update({"_id": 3}, {"$push": {"in.a": 3}})
    rows.delete_many({"_id": {"$gt": 40}})
    rows.distinct("text")
    rows.count_documents({"text": "x"})
    rows.estimated_document_count()
    list(rows.aggregate([{"$match": {"_id": 1}}, {"$group": {"_id": "$text", "n": {"$sum": 1}}}]))
    list(rows.list_indexes())
    client.admin.list_collection_names()
    with client.start_session(causal_consistency=True) as session:
        rows.find_one({}, session=session)
        with suppress(PyMongoError), session.start_transaction():  # not on `admin`
            rows.insert_one({}, session=session)
    for command in (
        "ping",
        "hello",
        "buildInfo",
        "connectionStatus",
        "listDatabases",
        "whatsmyuri",
    ):
        with suppress(PyMongoError):
            client.admin.command(command)
    with suppress(PyMongoError):
        client.admin.command("explain", {"find": "storm", "filter": {"_id": 1}})
    rows.drop()


def legacy_handshake() -> bytes:
    """An OP_QUERY, as older drivers begin."""
    body = bson.encode({"ismaster": 1, "helloOk": True, "client": {"driver": {"name": "old"}}})
    payload = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + body
    return wire.HEADER.pack(16 + len(payload), 1, 0, wire.OP_QUERY) + payload


@dataclass(frozen=True)
class Throw:
    """What is sent, and of what kind it is."""

    kind: str
    raw: bytes


Kind = Callable[[Sequence[bytes], random.Random], bytes]


def one_of_each(recorded: Sequence[bytes]) -> list[bytes]:
    """The shortest message of each command that was recorded."""
    found: dict[str, bytes] = {}
    for each in recorded:
        name = command_of(each)
        if name not in found or len(each) < len(found[name]):
            found[name] = each
    return [found[name] for name in sorted(found)]


def command_of(raw: bytes) -> str:
    """The command of a recorded message, with its opcode."""
    opcode = wire.HEADER.unpack_from(raw)[3]
    if opcode == wire.OP_QUERY:
        return f"{opcode} {next(iter(wire.parse_query(raw[16:]).body))}"
    return f"{opcode} {next(iter(wire.parse_message(raw[16:]).body))}"


def thrown(recorded: Sequence[bytes], chance: random.Random) -> Throw:
    """One more."""
    kind = chance.choice(list(KINDS))
    return Throw(kind, KINDS[kind](recorded, chance))


def sized(raw: bytes) -> bytes:
    """The message with its header's length as it is."""
    return struct.pack("<i", len(raw)) + raw[4:]


def _as_it_was(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    return chance.choice(recorded)


def _cut(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = chance.choice(recorded)
    return raw[: chance.randrange(1, len(raw))]


def _cut_and_sized(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = chance.choice(recorded)
    return sized(raw[: chance.randrange(17, len(raw))])


def _body_cut(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """The body ends in the midst of an element, and every length says so."""
    raw = _message(recorded, chance)
    size = struct.unpack_from("<i", raw, 21)[0]
    kept = raw[25 : 25 + chance.randrange(1, size - 5)]
    return sized(raw[:21] + struct.pack("<i", len(kept) + 5) + kept + b"\0")


def _types(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """Some of the body's fields are said to be of another type."""
    raw = bytearray(_message(recorded, chance))
    size = struct.unpack_from("<i", raw, 21)[0]
    elements = list(Document(bytes(raw[21 : 21 + size])).elements.values())
    for _, start, _, _ in chance.sample(elements, chance.randrange(1, min(4, len(elements) + 1))):
        raw[21 + start] = chance.choice((*range(0x14), 0x7F, 0xFF, chance.randrange(256)))
    return bytes(raw)


def _flipped(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = bytearray(chance.choice(recorded))
    for _ in range(chance.randrange(1, 9)):
        raw[chance.randrange(16, len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw)


def _length(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """Some 32 bits inside, likely those of a small number, replaced by a hostile one."""
    raw = bytearray(chance.choice(recorded))
    small = [
        at for at in range(16, len(raw) - 4) if raw[at] and raw[at + 2] == raw[at + 3] == 0
    ] or [16]
    at = chance.choice(small)
    value = chance.choice((*INTEGERS, len(raw) - at, raw[at] + 1, raw[at] - 1))
    struct.pack_into("<i", raw, min(at, len(raw) - 4), value)
    return bytes(raw)


def _header(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = chance.choice(recorded)
    size, number, response, opcode = wire.HEADER.unpack_from(raw)
    fields = [size, number, response, opcode]
    fields[chance.choice((0, 0, 2, 3))] = chance.choice((*INTEGERS, size + 1, size - 1, 2004, 2012))
    return wire.HEADER.pack(*fields) + raw[16:]


def _flags(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = chance.choice(recorded)
    return raw[:16] + struct.pack("<I", chance.getrandbits(chance.choice((3, 17, 32)))) + raw[20:]


def _checksum(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = _message(recorded, chance)
    summed = sized(raw[:16] + b"\1\0\0\0" + raw[20:] + b"\0\0\0\0")[:-4]
    return summed + struct.pack("<I", crc32c(summed) ^ chance.choice((0, 0, 1)))


def _sections(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    raw = _message(recorded, chance)
    section = chance.choice(
        (raw[20:], b"\1" + struct.pack("<i", 6) + b"d\0", b"\1\5\0\0\0\0", b"\2")
    )
    return sized(raw[:20] + section * chance.randrange(0, 3000) + raw[20:])[:200_000]


def _nested(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """A document in a document in a document."""
    inner, kind = b"\5\0\0\0\0", chance.choice((b"\x03", b"\x04"))
    for _ in range(chance.choice((90, 150, 1000, 6000))):
        inner = struct.pack("<i", len(inner) + 8) + kind + b"0\0" + inner + b"\0"
    raw = _message(recorded, chance)
    field = chance.choice((b"filter", b"lsid", b"writeConcern", b"pipeline", b"x"))
    return _with(raw, kind + field + b"\0" + inner)


def _with(raw: bytes, element: bytes) -> bytes:
    """A message with one more element at the end of its body."""
    size = struct.unpack_from("<i", raw, 21)[0]
    body = struct.pack("<i", size + len(element)) + raw[25 : 21 + size - 1] + element + b"\0"
    return sized(raw[:21] + body + raw[21 + size :])


def _field(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """A field of another value, a strange one more, or one twice."""
    raw = _message(recorded, chance)
    size = struct.unpack_from("<i", raw, 21)[0]
    body = bson.decode(raw[21 : 21 + size])
    name = chance.choice([*body, "lsid", "maxTimeMS", "$db", "comment", "x", "", "readConcern"])
    value = chance.choice(VALUES)
    if chance.random() < 0.3:
        return _with(raw, bson.encode({name or "x": value if value != "\0" else 1})[4:-1])
    body[name] = 50 if name == "maxTimeMS" else value
    return sized(raw[:21] + bson.encode(body) + raw[21 + size :])


def _compressed(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """As a driver that was never told that it may."""
    raw = _message(recorded, chance)
    plain = chance.choice((raw[16:], bytes(5_000_000)))
    packed = chance.choice((zlib.compress(plain), plain[:30_000], b""))
    claimed = chance.choice((len(plain), *INTEGERS))
    inside = struct.pack("<iiB", chance.choice((2013, 2012)), claimed, chance.randrange(5))
    return sized(struct.pack("<iiii", 0, 1, 0, OP_COMPRESSED) + inside + packed)


def _noise(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    noise = chance.randbytes(chance.randrange(1, 300))
    return chance.choice((noise, chance.choice(recorded) + noise, b"GET / HTTP/1.1\r\n\r\n"))


def _spliced(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    one, two = chance.choice(recorded), chance.choice(recorded)
    return sized(one[: chance.randrange(16, len(one))] + two[chance.randrange(16, len(two)) :])


def _together(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    return b"".join(chance.choice(recorded) for _ in range(chance.randrange(2, 12)))


def _message(recorded: Sequence[bytes], chance: random.Random) -> bytes:
    """An OP_MSG whose first section is its body."""
    return chance.choice([each for each in recorded if each[20:21] == b"\0" and each[12] == 0xDD])


KINDS: dict[str, Kind] = {
    "as it was": _as_it_was,
    "cut": _cut,
    "cut, its length right": _cut_and_sized,
    "body cut, its lengths right": _body_cut,
    "types": _types,
    "bits flipped": _flipped,
    "an inner length": _length,
    "header": _header,
    "flags": _flags,
    "checksum": _checksum,
    "sections": _sections,
    "nested": _nested,
    "a field": _field,
    "compressed": _compressed,
    "noise": _noise,
    "spliced": _spliced,
    "together": _together,
}


def is_whole(raw: bytes, limit: int) -> bool:
    """Whether a router that reads this waits for no more bytes: it has all, or has closed."""
    at = 0
    while at < len(raw):
        if len(raw) - at < wire.HEADER.size:
            return False
        size, _, _, opcode = wire.HEADER.unpack_from(raw, at)
        if not wire.HEADER.size < size <= limit:
            return True
        if at + size > len(raw):
            return False
        if opcode not in {wire.OP_MSG, wire.OP_QUERY}:
            return True
        at += size
    return True
