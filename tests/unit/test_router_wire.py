"""The wire protocol: what is written is read again, and nothing malformed hangs or crashes."""

import asyncio
import struct
from collections.abc import Iterable
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.message import _op_msg, _OpMsg

from mongo.router import wire
from mongo.router.crc32c import crc32c
from mongo.router.document import Document
from mongo.router.errors import CommandError

SMALL = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 9) | st.text(max_size=3))


def _reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def _read(data: bytes, limit: int = wire.MAX_MESSAGE_BYTES) -> wire.Frame:
    async def read() -> wire.Frame:
        return await wire.read_frame(_reader(data), limit, 1)

    return asyncio.run(read())


def _sequence(name: str, documents: Iterable[dict[str, Any]]) -> wire.Sequence:
    encoded = [bson.encode(each) for each in documents]
    return wire.Sequence(name, memoryview(b"".join(encoded)), len(encoded))


@given(
    st.integers(0, 2**31 - 1),
    SMALL,
    st.lists(st.tuples(st.sampled_from(["documents", "updates"]), st.lists(SMALL, max_size=3))),
)
def test_messages_come_back(
    number: int, body: dict[str, Any], sequences: list[tuple[str, list[dict[str, Any]]]]
) -> None:
    sent = [_sequence(name, documents) for name, documents in sequences]
    frame = _read(b"".join(wire.message(number, 7, bson.encode(body), sent)))
    assert (frame.request_id, frame.response_to, frame.opcode) == (number, 7, wire.OP_MSG)
    message = wire.parse_message(frame.payload)
    assert message.body.decoded() == body
    assert message.expects_reply
    found = [
        (each.identifier, [item.decoded() for item in each.documents()])
        for each in message.sequences
    ]
    assert found == sequences
    assert [each.count for each in message.sequences] == [len(items) for _, items in sequences]


def test_pymongo_reads_our_messages_and_we_read_its() -> None:
    options = bson.codec_options.DEFAULT_CODEC_OPTIONS
    command = {"insert": "c", "ordered": True}
    _, theirs, _, _ = _op_msg(0, command, "db", None, options)
    message = wire.parse_message(_read(theirs).payload)
    assert message.body.decoded() == {**command, "$db": "db"}
    ours = b"".join(wire.message(1, 2, bson.encode({"ok": 1})))
    assert _OpMsg.unpack(ours[16:]).unpack_response() == [{"ok": 1}]


@given(st.binary(max_size=120))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    for parse in (wire.parse_message, wire.parse_query):
        try:
            parsed = parse(payload)
            list(parsed.body)
        except (wire.ProtocolError, CommandError):
            pass


@given(SMALL, st.lists(SMALL, max_size=3), st.data())
def test_a_damaged_message_is_read_or_refused(
    body: dict[str, Any], documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    sequence = _sequence("documents", documents)
    raw = bytearray(b"".join(wire.message(1, 0, bson.encode(body), [sequence])))
    raw[data.draw(st.integers(16, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = wire.parse_message(bytes(raw[16:]))
        list(message.body)
        for each in message.sequences:
            for document in each.documents():
                list(document)
    except (wire.ProtocolError, CommandError):
        pass


@given(SMALL, st.data())
def test_a_cut_message_is_refused(body: dict[str, Any], data: st.DataObject) -> None:
    raw = b"".join(wire.message(1, 0, bson.encode(body)))
    cut = raw[: data.draw(st.integers(1, len(raw) - 1))]
    with pytest.raises(wire.ProtocolError):
        _read(cut)


def test_an_end_between_messages_is_no_error() -> None:
    with pytest.raises(wire.Disconnected):
        _read(b"")


@pytest.mark.parametrize("size", [0, 15, 16, -1, -(2**31), 48_000_001, 2**31 - 1])
def test_sizes_out_of_range(size: int) -> None:
    with pytest.raises(wire.ProtocolError):
        _read(wire.HEADER.pack(size, 1, 0, wire.OP_MSG) + bytes(64))


def test_strangers_have_a_smaller_limit() -> None:
    raw = b"".join(wire.message(1, 0, bson.encode({"a": "x" * 100})))
    assert _read(raw, len(raw)).request_id == 1
    with pytest.raises(wire.ProtocolError):
        _read(raw, len(raw) - 1)


def test_a_message_must_be_whole_in_time() -> None:
    async def stall() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(wire.HEADER.pack(100, 1, 0, wire.OP_MSG))
        await wire.read_frame(reader, whole=0.01)

    with pytest.raises(wire.ProtocolError):
        asyncio.run(stall())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        struct.pack("<I", 0),  # no body
        struct.pack("<I", 4) + b"\0" + bson.encode({}),  # an unknown flag that must be understood
        struct.pack("<I", 0) + b"\0" + bson.encode({}) + b"\0" + bson.encode({}),  # two bodies
        struct.pack("<I", 0) + b"\2" + bson.encode({}),  # an unknown kind of section
        struct.pack("<I", 0) + b"\0" + struct.pack("<i", 99) + b"\0",
        struct.pack("<I", 0) + b"\0" + bson.encode({}) + b"\1" + struct.pack("<i", 7) + b"abc",
    ],
)
def test_malformed_messages(payload: bytes) -> None:
    with pytest.raises(wire.ProtocolError):
        wire.parse_message(payload)


def test_flags() -> None:
    body = b"\0" + bson.encode({"a": 1})
    unacknowledged = wire.parse_message(struct.pack("<I", wire.MORE_TO_COME) + body)
    assert not unacknowledged.expects_reply
    exhaust = wire.parse_message(struct.pack("<I", wire.EXHAUST_ALLOWED) + body)
    assert exhaust.expects_reply


def _with_checksum(body: bytes, wrong: int = 0) -> wire.Frame:
    payload = struct.pack("<I", wire.CHECKSUM_PRESENT) + b"\0" + body
    header = wire.HEADER.pack(16 + len(payload) + 4, 1, 0, wire.OP_MSG)
    return _read(header + payload + struct.pack("<I", crc32c(header + payload) ^ wrong))


def test_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283
    frame = _with_checksum(bson.encode({"a": "x" * 200_000}))
    asyncio.run(wire.verify_checksum(frame))
    assert wire.parse_message(frame.payload).body.text("a") == "x" * 200_000
    with pytest.raises(wire.ProtocolError):
        asyncio.run(wire.verify_checksum(_with_checksum(bson.encode({}), wrong=1)))


@pytest.mark.parametrize("payload", [b"\1", b"\1\0\0\0", b"\1\0\0\0\0\0\0"])
def test_no_room_for_a_checksum(payload: bytes) -> None:
    frame = wire.Frame(1, 0, wire.OP_MSG, payload, b"")
    with pytest.raises(wire.ProtocolError):
        asyncio.run(wire.verify_checksum(frame))


def test_the_legacy_handshake() -> None:
    body = bson.encode({"ismaster": 1, "helloOk": True})
    payload = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + body
    query = wire.parse_query(payload)
    assert query.namespace == "admin.$cmd"
    assert query.body.decoded() == {"ismaster": 1, "helloOk": True}
    answer = _read(b"".join(wire.reply(5, 6, bson.encode({"ok": 1.0}))))
    assert answer.opcode == wire.OP_REPLY
    assert Document(answer.payload[20:]).decoded() == {"ok": 1.0}
