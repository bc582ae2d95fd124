"""MongoDB's wire protocol: OP_MSG, and OP_QUERY with OP_REPLY for the handshake of drivers.

Everything that is not well formed raises ProtocolError, after which the connection is closed.
Format: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

import asyncio
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mongo.router.crc32c import crc32c
from mongo.router.document import EMPTY_LENGTH, Document

HEADER = struct.Struct("<iiii")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_QUERY_TAIL = struct.Struct("<ii")
_REPLY_HEAD = struct.Struct("<iqii")

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
_KNOWN_REQUIRED = CHECKSUM_PRESENT | MORE_TO_COME  # of the bits 0 to 15, which must be understood
_REQUIRED_BITS = 0xFFFF
_KIND_BODY, _KIND_SEQUENCE = 0, 1

# The server's own limit, maxMessageSizeBytes in `hello`.
MAX_MESSAGE_BYTES = 48_000_000
# A client's message must be whole within this time after its header (seconds).
WHOLE_SECONDS = 60.0

Buffer = bytes | memoryview


class ProtocolError(Exception):
    """The peer does not speak the protocol: close the connection."""


class Disconnected(Exception):  # noqa: N818 - an ordinary end, not an error
    """The peer closed the connection between two messages."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A message as it came: the header's fields, and all after the header."""

    request_id: int
    response_to: int
    opcode: int
    payload: bytes
    header: bytes = b""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A document sequence (section kind 1), passed through as it is."""

    identifier: str
    raw: memoryview
    count: int

    def documents(self) -> Iterator[Document]:
        """Its documents, one at a time."""
        at = 0
        while at < len(self.raw):
            end = at + _INT32.unpack_from(self.raw, at)[0]
            yield Document(bytes(self.raw[at:end]))
            at = end

    def section(self) -> tuple[Buffer, ...]:
        """Its bytes on the wire."""
        name = self.identifier.encode() + b"\0"
        size = 4 + len(name) + len(self.raw)
        return (bytes((_KIND_SEQUENCE,)), _INT32.pack(size), name, self.raw)


@dataclass(frozen=True, slots=True)
class Message:
    """An OP_MSG."""

    flags: int
    body: Document
    sequences: tuple[Sequence, ...] = ()

    @property
    def expects_reply(self) -> bool:
        """False for unacknowledged writes."""
        return not self.flags & MORE_TO_COME


@dataclass(frozen=True, slots=True)
class Query:
    """An OP_QUERY: the legacy form of a driver's first hello."""

    namespace: str
    body: Document


async def read_frame(
    reader: asyncio.StreamReader, limit: int = MAX_MESSAGE_BYTES, whole: float | None = None
) -> Frame:
    """The next message, which must be whole within `whole` seconds after its header.

    Raises Disconnected, ProtocolError, or OSError of the connection.
    """
    try:
        header = await reader.readexactly(HEADER.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise ProtocolError("cut off in a header") from error
        raise Disconnected from error
    size, request_id, response_to, opcode = HEADER.unpack(header)
    if not HEADER.size < size <= limit:
        raise ProtocolError(f"message of {size} bytes (at most {limit})")
    try:
        async with asyncio.timeout(whole):
            payload = await reader.readexactly(size - HEADER.size)
    except (asyncio.IncompleteReadError, TimeoutError) as error:
        raise ProtocolError("cut off in a message") from error
    return Frame(request_id, response_to, opcode, payload, header)


def parse_message(payload: bytes) -> Message:
    """The OP_MSG of a frame's payload; a checksum is not verified here."""
    try:
        (flags,) = _UINT32.unpack_from(payload)
    except struct.error as error:
        raise ProtocolError("no flags") from error
    if flags & _REQUIRED_BITS & ~_KNOWN_REQUIRED:
        raise ProtocolError(f"unknown flags {flags:#x}")
    end = len(payload) - (4 if flags & CHECKSUM_PRESENT else 0)
    body: Document | None = None
    sequences: list[Sequence] = []
    at = 4
    while at < end:
        kind, at = payload[at], at + 1
        stop = at + _length(payload, at, end)
        if kind == _KIND_BODY and body is None:
            body = Document(payload[at:stop])
        elif kind == _KIND_SEQUENCE:
            sequences.append(_sequence(payload, at, stop))
        else:
            raise ProtocolError(f"section of kind {kind}")
        at = stop
    if body is None:
        raise ProtocolError("no body")
    return Message(flags, body, tuple(sequences))


async def verify_checksum(frame: Frame) -> None:
    """Raises ProtocolError where a frame carries a CRC-32C that is not its own.

    Drivers send none. The sum is taken in pieces, so that a large message holds up nobody else.
    """
    if frame.opcode != OP_MSG or not frame.payload or not frame.payload[0] & CHECKSUM_PRESENT:
        return
    if len(frame.payload) < _REPLY_HEAD.size // 2:
        raise ProtocolError("no room for a checksum")
    crc = crc32c(frame.header)
    summed = memoryview(frame.payload)[:-4]
    for at in range(0, len(summed), 1 << 16):
        crc = crc32c(summed[at : at + (1 << 16)], crc)
        await asyncio.sleep(0)
    if crc != _UINT32.unpack_from(frame.payload, len(frame.payload) - 4)[0]:
        raise ProtocolError("wrong checksum")


def parse_query(payload: bytes) -> Query:
    """The OP_QUERY of a frame's payload."""
    try:
        end = payload.index(0, 4)
        namespace = payload[4:end].decode("utf-8")
        _QUERY_TAIL.unpack_from(payload, end + 1)
        start = end + 1 + _QUERY_TAIL.size
        stop = start + _length(payload, start, len(payload))
    except (ValueError, struct.error) as error:
        raise ProtocolError("malformed OP_QUERY") from error
    return Query(namespace, Document(payload[start:stop]))


def message(
    request_id: int, response_to: int, body: bytes, sequences: Iterable[Sequence] = ()
) -> list[Buffer]:
    """An OP_MSG as buffers to be written."""
    parts: list[Buffer] = [body]
    for sequence in sequences:
        parts.extend(sequence.section())
    size = HEADER.size + 5 + sum(map(len, parts))
    head = HEADER.pack(size, request_id, response_to, OP_MSG) + b"\0\0\0\0\0"
    return [head, *parts]


def reply(request_id: int, response_to: int, body: bytes) -> list[Buffer]:
    """An OP_REPLY with one document, the answer to an OP_QUERY."""
    head = _REPLY_HEAD.pack(8, 0, 0, 1)  # AwaitCapable, no cursor, from 0, one document
    size = HEADER.size + len(head) + len(body)
    return [HEADER.pack(size, request_id, response_to, OP_REPLY), head, body]


def _sequence(payload: bytes, at: int, stop: int) -> Sequence:
    try:
        end = payload.index(0, at + 4, stop)
        identifier = payload[at + 4 : end].decode("utf-8")
    except ValueError as error:
        raise ProtocolError("document sequence without a name") from error
    raw = memoryview(payload)[end + 1 : stop]
    return Sequence(identifier, raw, _count(raw))


def _count(raw: memoryview) -> int:
    count = at = 0
    while at < len(raw):
        at += _length(raw, at, len(raw))
        count += 1
    return count


def _length(raw: Buffer, at: int, end: int) -> int:
    """The length that stands at `at`. Raises ProtocolError where it leads past `end`."""
    if at + EMPTY_LENGTH > end:
        raise ProtocolError("cut off in a section")
    size = int(_INT32.unpack_from(raw, at)[0])
    if size < EMPTY_LENGTH or at + size > end:
        raise ProtocolError(f"a length of {size} where {end - at} bytes are left")
    return size
