"""What is written is read as it was, or not at all."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mongo.backup import sealing
from mongo.backup.sealing import DamagedError, Encrypted, Plain, Sealer

SEALERS = [Encrypted("a secret"), Plain()]
PIECES = st.lists(st.binary(max_size=300), max_size=6)


def sealed(sealer: Sealer, pieces: list[bytes], frame: int = 64) -> bytes:
    into = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "FRAME", frame)  # so that a little makes many
        sealing.write(sealer, {"kind": "test"}, pieces, into)
    return into.getvalue()


def opened(sealer: Sealer, data: bytes) -> bytes:
    header, pieces = sealing.read(sealer, io.BytesIO(data))
    content = b"".join(pieces)
    assert header["kind"] == "test"
    return content


@pytest.mark.parametrize("sealer", SEALERS, ids=["encrypted", "plain"])
@given(pieces=PIECES)
def test_what_is_written_is_read(sealer: Sealer, pieces: list[bytes]) -> None:
    assert opened(sealer, sealed(sealer, pieces)) == b"".join(pieces)


@pytest.mark.parametrize("sealer", SEALERS, ids=["encrypted", "plain"])
@given(pieces=PIECES, data=st.data())
def test_no_cut_is_read(sealer: Sealer, pieces: list[bytes], data: st.DataObject) -> None:
    whole = sealed(sealer, pieces)
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DamagedError):
        opened(sealer, whole[:length])


@pytest.mark.parametrize("sealer", SEALERS, ids=["encrypted", "plain"])
@given(pieces=PIECES, data=st.data())
def test_no_flipped_bit_is_read(sealer: Sealer, pieces: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(sealed(sealer, pieces))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    with pytest.raises(DamagedError):
        opened(sealer, bytes(whole))


def test_frames_cannot_change_places() -> None:
    """Random data, which does not compress: two full frames and more."""
    sealer = SEALERS[0]
    whole = sealed(sealer, [bytes(range(256)) * 2], frame=100)
    start = len(sealing.MAGIC) + whole[len(sealing.MAGIC) :].index(b"\n") + 1
    size = 4 + int.from_bytes(whole[start : start + 4], "big")
    first, second = whole[start : start + size], whole[start + size : start + 2 * size]
    assert len(first) == len(second)
    with pytest.raises(DamagedError, match="was changed"):
        opened(sealer, whole[:start] + second + first + whole[start + 2 * size :])


def test_another_key_opens_nothing_and_says_so() -> None:
    data = sealed(Encrypted("one"), [b"x"])
    with pytest.raises(DamagedError, match="another key"):
        opened(Encrypted("two"), data)
    with pytest.raises(DamagedError, match="another key"):
        opened(Plain(), data)


def test_the_content_is_not_in_what_is_stored() -> None:
    content = b"Geheimnis: q8Z!"
    assert content in sealed(Plain(), [content])
    assert content not in sealed(Encrypted("one"), [content])


def test_sizes_are_those_of_both_sides() -> None:
    into = io.BytesIO()
    size = sealing.write(Plain(), {}, [b"a" * 5000], into)
    assert (size.plain, size.stored) == (5000, len(into.getvalue()))
