"""Slices of an oplog: their names, what they hold, how far they reach."""

import io
from itertools import pairwise

import bson
import pytest
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from mongo.backup.recover.replay import when_of
from mongo.backup.sealing import DamagedError, Encrypted
from mongo.backup.slices import (
    Content,
    Gap,
    Piece,
    Slice,
    decode,
    encode,
    folder,
    parse,
    reach,
)
from mongo.backup.stamps import Stamp
from mongo.backup.stamps import parse as parse_stamp
from mongo.backup.storage import Object

SEALER = Encrypted("a secret")
STAMPS = st.builds(Stamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


def at(*seconds: int) -> list[Slice]:
    """Slices that end at these seconds, each from where the one before ended."""
    pairs = pairwise(seconds)
    return [Slice(1, "shard-a", Stamp(one, 0), Stamp(two, 0)) for one, two in pairs]


def entry(seconds: int, number: int = 1, **more: object) -> bytes:
    return bson.encode({"ts": Timestamp(seconds, number), **more})


@given(STAMPS, STAMPS)
def test_names_are_in_the_order_of_time(one: Stamp, other: Stamp) -> None:
    assert parse_stamp(one.text) == one
    assert (one < other) == (one.text < other.text)


def test_a_list_of_names_is_what_is_there() -> None:
    one, two = at(10, 20, 30)
    objects = [
        Object(two.key, 7),
        Object(one.key, 5),
        Object(folder(1, "shard-a") + "gap-000000100000000000-x.json", 1),
        Object(folder(1, "shard-a") + f"gap-{Stamp(30, 0).text}-{Stamp(40, 0).text}.json", 1),
        Object(folder(1, "shard-a") + "README", 1),
    ]
    found = parse(1, "shard-a", objects)
    assert [each.last.seconds for each in found.slices] == [20, 30]
    assert [each.size for each in found.slices] == [5, 7]
    assert found.gaps == (Gap(1, "shard-a", Stamp(30, 0), Stamp(40, 0)),)


@given(st.lists(st.dictionaries(st.text("abc", max_size=5), st.binary(max_size=50)), max_size=8))
def test_entries_come_back_as_they_went(documents: list[dict[str, bytes]]) -> None:
    entries = [bson.encode(one) for one in documents]
    [made] = at(10, 20)
    data = encode(SEALER, Content(made, "id", "a", "b", entries))
    data.seek(0)
    assert list(decode(SEALER, made, data)) == entries


def test_a_slice_under_another_name_is_refused() -> None:
    one, two = at(10, 20, 30)
    data = encode(SEALER, Content(one, "id", "a", "b", [entry(15)]))
    data.seek(0)
    with pytest.raises(DamagedError, match="another slice"):
        list(decode(SEALER, two, data))


def test_a_slice_that_is_cut_off_is_refused() -> None:
    [made] = at(10, 20)
    data = encode(SEALER, Content(made, "id", "a", "b", [entry(15)])).getvalue()
    with pytest.raises(DamagedError, match="cut off"):
        list(decode(SEALER, made, io.BytesIO(data[:-1])))


def test_the_time_of_an_entry_is_its_ts() -> None:
    assert when_of(entry(15, 3, op="i")) == Stamp(15, 3)


# How far they reach


def test_the_archive_reaches_to_the_end_of_the_last_slice() -> None:
    one, two = at(10, 20, 30)
    found = reach([two, one], Stamp(12, 0))
    assert found.last == Stamp(30, 0)
    assert found.missing is None
    assert found.pieces == (
        Piece(one, Stamp(12, 0), Stamp(20, 0)),
        Piece(two, Stamp(20, 0), Stamp(30, 0)),
    )


def test_a_missing_slice_ends_it() -> None:
    one, _, three = at(10, 20, 30, 40)
    found = reach([one, three], Stamp(10, 0))
    assert (found.last, found.missing) == (Stamp(20, 0), Stamp(30, 0))


def test_a_place_before_the_archive_is_a_gap() -> None:
    found = reach(at(10, 20), Stamp(9, 0))
    assert (found.last, found.pieces, found.missing) == (Stamp(9, 0), (), Stamp(10, 0))


def test_a_place_at_its_end_reaches_no_further() -> None:
    assert reach(at(10, 20), Stamp(20, 0)).pieces == ()


def test_a_limit_within_a_slice_cuts_it() -> None:
    one, two = at(10, 20, 30)
    found = reach([one, two], Stamp(10, 0), limit=Stamp(25, 0))
    assert found.last == Stamp(25, 0)
    assert found.pieces[-1] == Piece(two, Stamp(20, 0), Stamp(25, 0))


@given(st.lists(st.integers(0, 100), min_size=2, max_size=12, unique=True), st.data())
def test_any_missing_slice_is_noticed(seconds: list[int], data: st.DataObject) -> None:
    slices = at(*sorted(seconds))
    gone = data.draw(st.sampled_from(slices))
    found = reach([each for each in slices if each is not gone], slices[0].prev)
    if gone is slices[-1]:
        assert (found.last, found.missing) == (gone.prev, None)
    else:
        assert (found.last, found.missing) == (gone.prev, gone.last)
