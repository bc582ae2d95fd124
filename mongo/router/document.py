"""BSON documents as bytes: the top level is scanned, and edited without decoding the rest.

Document sequences and nested documents pass through the router as they are. What is looked at is
looked at strictly (a field named twice, or a length that does not add up, is an error), so that
the router and the server behind it never read two different things from the same bytes.
Layout: https://bsonspec.org/spec.html
"""

import struct
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

from mongo.router.errors import Code, CommandError

_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY = 0x01, 0x02, 0x03, 0x04, 0x05
BOOLEAN, NULL, INT32, TIMESTAMP, INT64 = 0x08, 0x0A, 0x10, 0x11, 0x12
_REGEX = 0x0B
_DBPOINTER = 0x0C
_FIXED = {
    DOUBLE: 8,
    0x06: 0,  # undefined
    0x07: 12,  # ObjectId
    BOOLEAN: 1,
    0x09: 8,  # date
    NULL: 0,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    0x13: 16,  # decimal128
    0x7F: 0,  # MaxKey
    0xFF: 0,  # MinKey
}
# What comes before the bytes that a 32-bit length counts: (bytes of prefix, counted themselves).
_COUNTED = {STRING: 4, 0x0D: 4, 0x0E: 4, BINARY: 5, _DBPOINTER: 16, DOCUMENT: 0, ARRAY: 0, 0x0F: 0}
EMPTY_LENGTH = 5

_OPTIONS: "CodecOptions[dict[str, Any]]" = CodecOptions(
    document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_MS
)

Element = tuple[int, int, int, int]  # type, start of the element, of its value, end


class Document:
    """A BSON document, scanned once on first use.

    Raises CommandError (InvalidBSON, FailedToParse) where it is malformed or a field occurs twice.
    """

    __slots__ = ("_elements", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._elements: dict[str, Element] | None = None

    @property
    def elements(self) -> dict[str, Element]:
        """Where each field is, in order."""
        if self._elements is None:
            self._elements = _scan(self.raw)
        return self._elements

    def __contains__(self, name: str) -> bool:
        return name in self.elements

    def __iter__(self) -> Iterator[str]:
        return iter(self.elements)

    def type_of(self, name: str) -> int | None:
        """The BSON type of a field; None where there is no such field."""
        element = self.elements.get(name)
        return element[0] if element else None

    def bytes_of(self, name: str) -> bytes:
        """The whole element, name and all; empty where there is no such field."""
        element = self.elements.get(name)
        return self.raw[element[1] : element[3]] if element else b""

    def text(self, name: str) -> str | None:
        """A string field; None where there is none. Raises TypeMismatch for another type."""
        element = self.elements.get(name)
        if element is None:
            return None
        kind, _, value, end = element
        if kind != STRING:
            raise mismatch(name, "a string")
        return _utf8(self.raw[value + 4 : end - 1])

    def integer(self, name: str) -> int | None:
        """A number without a fraction; None where there is none. Raises TypeMismatch."""
        element = self.elements.get(name)
        if element is None:
            return None
        kind, _, value, _ = element
        if kind == INT32:
            return int(_INT32.unpack_from(self.raw, value)[0])
        if kind == INT64:
            return int(_INT64.unpack_from(self.raw, value)[0])
        if kind == DOUBLE:
            number = _DOUBLE.unpack_from(self.raw, value)[0]
            if number == number // 1 and abs(number) < 2**53:
                return int(number)
        raise mismatch(name, "a whole number")

    def truth(self, name: str) -> bool:
        """Whether a field is there and true as MongoDB counts it: not false, null or zero."""
        element = self.elements.get(name)
        if element is None or element[0] in {NULL, 0x06}:
            return False
        kind, _, value, end = element
        if kind in {BOOLEAN, INT32, INT64}:
            return any(self.raw[value:end])
        return kind != DOUBLE or _DOUBLE.unpack_from(self.raw, value)[0] != 0

    def document(self, name: str) -> "Document | None":
        """A nested document or array; None where there is none. Raises TypeMismatch."""
        element = self.elements.get(name)
        if element is None:
            return None
        kind, _, value, end = element
        if kind not in {DOCUMENT, ARRAY}:
            raise mismatch(name, "an object")
        return Document(self.raw[value:end])

    def documents(self, name: str) -> "list[Document]":
        """An array of documents; empty where there is none. Raises TypeMismatch."""
        if self.type_of(name) not in {None, ARRAY}:
            raise mismatch(name, "an array")
        items = self.document(name)
        if items is None:
            return []
        found = [items.document(key) for key in items]
        return [item for item in found if item is not None]

    def value(self, name: str) -> Any:
        """A field decoded; None where there is none."""
        element = self.bytes_of(name)
        return decode(_wrap(element))[name] if element else None

    def decoded(self) -> dict[str, Any]:
        """The whole document decoded."""
        return decode(self.raw)

    def edited(self, drop: Collection[str] = (), append: bytes = b"") -> bytes:
        """The bytes without the fields `drop` and with the elements `append` at the end."""
        found = (self.elements[name] for name in drop if name in self.elements)
        parts, at = [], 4
        for _, start, _, end in sorted(found, key=lambda element: element[1]):
            parts.append(self.raw[at:start])
            at = end
        parts += (self.raw[at:-1], append)
        return _wrap(b"".join(parts))


def decode(raw: bytes) -> dict[str, Any]:
    """A document decoded. Raises InvalidBSON."""
    try:
        return bson.decode(raw, _OPTIONS)
    except bson.InvalidBSON as error:
        raise CommandError(Code.InvalidBSON, str(error)) from error


def encode(fields: Mapping[str, Any]) -> bytes:
    """A document encoded."""
    return bson.encode(fields, codec_options=_OPTIONS)


def encode_elements(fields: Mapping[str, Any]) -> bytes:
    """The fields' elements alone, to be appended to another document."""
    return encode(fields)[4:-1]


def mismatch(name: str, wanted: str) -> CommandError:
    """The error for a field of the wrong type."""
    return CommandError(Code.TypeMismatch, f"{name} has the wrong type: {wanted} is expected")


def _wrap(elements: bytes) -> bytes:
    return b"".join((_INT32.pack(len(elements) + EMPTY_LENGTH), elements, b"\0"))


def _scan(raw: bytes) -> dict[str, Element]:
    size = len(raw)
    if size < EMPTY_LENGTH or _INT32.unpack_from(raw)[0] != size or raw[-1]:
        raise _malformed("length")
    elements: dict[str, Element] = {}
    at, last = 4, size - 1
    try:
        while at < last:
            kind = raw[at]
            value = raw.index(0, at + 1, last) + 1
            name = _utf8(raw[at + 1 : value - 1])
            end = value + _size(raw, kind, value, last)
            if end > last:
                raise _malformed(name)
            if name in elements:
                raise CommandError(Code.FailedToParse, f"field {name!r} is given twice")
            elements[name] = (kind, at, value, end)
            at = end
    except (struct.error, ValueError) as error:
        raise _malformed("element") from error
    return elements


def _size(raw: bytes, kind: int, value: int, last: int) -> int:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    prefix = _COUNTED.get(kind)
    if prefix is not None:
        counted = int(_INT32.unpack_from(raw, value)[0])
        least = 0 if kind == BINARY else 1 if prefix else EMPTY_LENGTH
        if counted < least:
            raise _malformed("length")
        return prefix + counted
    if kind == _REGEX:
        return raw.index(0, raw.index(0, value, last) + 1, last) + 1 - value
    raise _malformed(f"type {kind}")


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("text") from error


def _malformed(what: str) -> CommandError:
    return CommandError(Code.InvalidBSON, f"malformed BSON: {what}")
