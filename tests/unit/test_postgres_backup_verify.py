"""What `verify` makes of pgBackRest's words, which were captured from 2.45 over flipped bytes."""

import pytest

from cluster.backup.contracts import Damage
from postgres.backup import Backup
from postgres.backup_verify import gaps, parse_verification
from postgres.restore_target import Stock
from postgres.timelines import Archive, Fork

DAMAGED = """\
2026-11-25 23:51:51.234 P00   INFO: verify command begin 2.45: --config=/c.conf --repo=1
2026-11-25 23:52:06.691 P01   INFO: invalid result 15-1/0000000100000000/0000000100000000000000\
07-7d9a.lz4: [29] raised from local-1 protocol: lz4 error: [-18] ERROR_contentChecksum_invalid
                                    [FormatError] on retry after 0ms
2026-11-25 23:52:06.756 P01   INFO: invalid checksum '20261125-235019F/pg_data/base/4/2704.lz4'
2026-11-25 23:52:06.963 P00   INFO: stanza: payments
                                    status: error
stanza: payments
status: error
  archiveId: 15-1, total WAL checked: 7, total valid WAL: 6
    other: 1
2026-11-25 23:52:06.964 P00   INFO: verify command end: completed successfully (15745ms)
"""
NAMES = [f"0000000100000000000000{number:02X}" for number in range(2, 9)]


def test_bad_files_are_named() -> None:
    segment, data = parse_verification(1, DAMAGED)
    assert segment.what.endswith("000000010000000000000007-7d9a.lz4")
    assert segment.reason == "cannot be read: lz4 error: [-18] ERROR_contentChecksum_invalid"
    assert data == Damage(1, "20261125-235019F/pg_data/base/4/2704.lz4", "invalid checksum")


def test_a_whole_repository() -> None:
    assert parse_verification(1, "stanza: payments\nstatus: ok\n") == ()


@pytest.mark.parametrize("text", ["", "status: error\n", "stanza: payments\nstatus: newer\n"])
def test_whatever_is_not_ok_is_a_finding(text: str) -> None:
    [damage] = parse_verification(2, text)
    assert damage.repository == 2


def backup(start: str, stop: str, lsn: int) -> Backup:
    return Backup("F", "full", 0, 0, 1, 1, start, stop, error=False, lsn_stop=lsn)


def stock(names: list[str], forks: dict[int, Fork] | None = None) -> Stock:
    made = backup("000000010000000000000002", "000000010000000000000003", 0x3000100)
    return Stock(1, (made,), Archive(frozenset(names), forks or {}, lambda _: ()))


def test_no_gap() -> None:
    assert list(gaps(stock(NAMES))) == []
    assert list(gaps(stock(NAMES[:-1]))) == []  # the end is an end


@pytest.mark.parametrize("lost", NAMES[2:-1])
def test_a_segment_between_two_others_is_missed(lost: str) -> None:
    found = list(gaps(stock([name for name in NAMES if name != lost])))
    assert [damage.what for damage in found] == [lost]


def test_the_backups_own_wal_is_missed() -> None:
    found = list(gaps(stock(NAMES[1:])))
    assert "000000010000000000000002" in " ".join(damage.what + damage.reason for damage in found)


def test_a_fork_in_the_middle_is_no_gap() -> None:
    forked = {2: Fork(1, 0x6000500)}
    names = [*NAMES[:4], "000000020000000000000006", "000000020000000000000007"]
    assert list(gaps(stock(names, forked))) == []
    assert list(gaps(stock([*names[:3], *names[4:]], forked)))


def test_a_timeline_that_no_backup_leads_to() -> None:
    forked = {2: Fork(1, 0x2000500)}
    [damage] = gaps(stock([*NAMES, "000000020000000000000002"], forked))
    assert "timeline 2" in damage.reason
