"""What pgBackRest says of its repositories, parsed; and a binary COPY, read."""

import struct

import pytest

from cluster.errors import OpsError, UnreachableError
from postgres.backup import parse_info
from postgres.writer import parse_copy
from tests.unit.postgres_samples import text

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = struct.pack(">h", -1)


def rows(*ops: int) -> bytes:
    return b"".join(struct.pack(">hiq", 1, 8, op) for op in ops)


def read(*pieces: bytes) -> list[int]:
    return [int(op) for ops in parse_copy(pieces) for op in ops]


def test_repositories_with_a_backup() -> None:
    found = parse_info(text("pgbackrest-info.json"))
    assert found.exists
    assert found.full is not None
    assert found.full.kind == "full"
    assert found.full.stopped >= found.full.started > 0
    assert found.full.wal_start <= found.full.wal_stop <= found.wal_last


def test_no_stanza() -> None:
    found = parse_info(
        '[{"archive":[],"backup":[],"cipher":"none","db":[],"name":"payments","repo":[{"cipher":'
        '"none","key":1,"status":{"code":1,"message":"missing stanza path"}}],"status":{"code":1,'
        '"lock":{"backup":{"held":false}},"message":"missing stanza path"}}]'
    )
    assert not found.exists
    assert [(each.number, each.message) for each in found.missing] == [(1, "missing stanza path")]
    assert found.full is None
    assert found.without("full") == (1,)


def test_a_repository_that_lost_all() -> None:
    found = parse_info(text("pgbackrest-info-lost.json"))
    assert [(each.number, each.exists) for each in found.each] == [(1, True), (2, False)]
    assert not found.exists
    assert found.full is not None
    assert found.without("full") == (2,)
    assert found.without() == (2,)


def test_nothing_at_all() -> None:
    assert not parse_info("[]").exists


def test_a_backup_with_an_error_is_none() -> None:
    spoiled = text("pgbackrest-info.json").replace('"error":false', '"error":true')
    assert parse_info(spoiled).full is None


def test_no_json() -> None:
    with pytest.raises(OpsError, match="pgbackrest info"):
        parse_info("P00 ERROR: something")


def test_copy_in_one_piece() -> None:
    assert read(HEADER + rows(1, 2**62, 3) + TRAILER) == [1, 2**62, 3]


def test_copy_cut_anywhere() -> None:
    whole = HEADER + rows(5, 5, 6) + TRAILER
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == [5, 5, 6]


def test_copy_of_nothing() -> None:
    assert read(HEADER + TRAILER) == []


@pytest.mark.parametrize(
    "cut", [b"", HEADER, HEADER + rows(1), HEADER + rows(1)[:-1], HEADER + rows(1) + b"\xff"]
)
def test_copy_that_ends_early_is_never_believed(cut: bytes) -> None:
    with pytest.raises(UnreachableError):
        read(cut)


def test_large_copy_comes_in_pieces() -> None:
    ops = range(1, 1_200_001)
    data = HEADER + rows(*ops) + TRAILER
    pieces = list(parse_copy([data[at : at + 65536] for at in range(0, len(data), 65536)]))
    assert len(pieces) > 1
    assert sum(len(piece) for piece in pieces) == len(ops)
    assert int(pieces[-1][-1]) == ops[-1]
