"""BSON as bytes: what is scanned is what the driver reads, and nothing malformed gets through."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson
import pytest
from bson import Binary, Int64, ObjectId, Regex, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mongo.router.document import Document, encode, encode_elements
from mongo.router.errors import Code, CommandError

NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
    | st.binary(max_size=8).map(Binary)
    | st.builds(ObjectId)
    | st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
REFUSALS = {Code.InvalidBSON, Code.FailedToParse}


@contextmanager
def _refusing() -> Iterator[None]:
    """What is within works, or refuses in the one way that is right."""
    try:
        yield
    except CommandError as error:
        if error.code not in REFUSALS:
            raise


DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(DOCUMENTS)
def test_scans_what_the_driver_wrote(fields: dict[str, Any]) -> None:
    raw = bson.encode(fields)
    document = Document(raw)
    assert list(document) == list(fields)
    assert document.decoded() == bson.decode(raw)
    for name in fields:
        assert document.value(name) == bson.decode(raw)[name]


@given(DOCUMENTS, st.sets(NAMES), DOCUMENTS)
def test_edits_as_a_dictionary_would(
    fields: dict[str, Any], drop: set[str], more: dict[str, Any]
) -> None:
    kept = {name: value for name, value in fields.items() if name not in drop}
    added = {name: value for name, value in more.items() if name not in kept}
    edited = Document(bson.encode(fields)).edited(drop, encode_elements(added))
    assert bson.decode(edited) == bson.decode(bson.encode({**kept, **added}))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with _refusing():
        names = list(Document(raw))
        assert len(names) == len(set(names))


@given(DOCUMENTS, st.data())
def test_a_damaged_document_is_read_or_refused(fields: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(bson.encode(fields))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with _refusing():
        document = Document(bytes(raw))
        for name in document:
            document.value(name)


def test_every_bson_type_is_known() -> None:
    raw = bson.encode(
        {
            "regex": Regex("^a", "i"),
            "code": bson.Code("f()"),
            "scoped": bson.Code("f()", {"x": 1}),
            "decimal": bson.Decimal128("1.5"),
            "min": bson.MinKey(),
            "max": bson.MaxKey(),
        }
    )
    pointer = b"\x0cp\0" + struct.pack("<i", 2) + b"a\0" + bytes(12)
    undefined = b"\x06u\0"
    edited = Document(raw).edited((), pointer + undefined)
    assert list(Document(edited)) == [*bson.decode(raw), "p", "u"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x04\0\0\0",
        b"\x06\0\0\0\0\0",  # a length that is not the text's
        b"\x05\0\0\0\x01",  # no end
        b"\x08\0\0\0\x10a\0\0",  # a number cut off
        struct.pack("<i", 14) + b"\x02a\0" + struct.pack("<i", -5) + b"x\0\0",
        struct.pack("<i", 14) + b"\x02a\0" + struct.pack("<i", 2**31 - 1) + b"x\0\0",
        struct.pack("<i", 13) + b"\x10\xff\0" + bytes(5) + b"\0",  # a name that is no text
        struct.pack("<i", 8) + b"\x99a\0\0",  # an unknown type
    ],
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(CommandError) as raised:
        list(Document(raw))
    assert raised.value.code == Code.InvalidBSON


def test_a_field_given_twice_is_refused() -> None:
    twice = encode_elements({"a": 1}) + encode_elements({"a": 2})
    with pytest.raises(CommandError) as raised:
        list(Document(Document(encode({})).edited((), twice)))
    assert raised.value.code == Code.FailedToParse


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (Int64(256), True),
        (0.0, False),
        (0.5, True),
        (None, False),
        ("", True),
        ({}, True),
    ],
)
def test_truth_is_mongodbs(value: object, truth: bool) -> None:
    assert Document(bson.encode({"a": value})).truth("a") is truth


def test_whole_numbers() -> None:
    document = Document(bson.encode({"a": 1, "b": Int64(2**40), "c": 3.0, "d": 3.5, "e": "x"}))
    assert [document.integer(name) for name in "abc"] == [1, 2**40, 3]
    assert document.integer("absent") is None
    for name in "de":
        with pytest.raises(CommandError):
            document.integer(name)


def test_not_a_number_is_no_whole_number() -> None:
    document = Document(bson.encode({"nan": float("nan"), "inf": float("inf")}))
    for name in document:
        with pytest.raises(CommandError):
            document.integer(name)


@pytest.mark.parametrize("ask", ["text", "document", "documents"])
def test_other_types_are_refused(ask: str) -> None:
    document = Document(bson.encode({"a": 1}))
    with pytest.raises(CommandError) as raised:
        getattr(document, ask)("a")
    assert raised.value.code == Code.TypeMismatch
