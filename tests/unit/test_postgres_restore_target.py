"""Where a restore begins and ends, on archives that are made up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.backup.contracts import Target
from cluster.errors import InvalidInputError
from postgres import wal
from postgres.backup import Backup
from postgres.restore_target import RestorePoint, Stock, choose, possible, usable_from, windows
from postgres.timelines import (
    Archive,
    Commit,
    Fork,
    parse_commits,
    parse_history,
)

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MB = 1024**2
SEGMENT = 16 * MB
DUMP = """\
rmgr: Transaction len (rec/tot):     34/    34, tx:        745, lsn: 0/0805EC88, prev 0/0805EC20, \
desc: COMMIT 2026-11-25 23:52:07.561968 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:        746, lsn: 0/0805ED00, prev 0/0805EC88, \
desc: ABORT 2026-11-25 23:52:08.000001 UTC
rmgr: Transaction len (rec/tot):    130/   130, tx:        747, lsn: 0/08062958, prev 0/08062918, \
desc: COMMIT 2026-11-25 23:52:09 UTC; inval msgs: catcache 80 catcache 79
pg_waldump: error: error in WAL record at 0/80629D8: invalid record length at 0/80629F8: wanted 24
"""
HISTORY = "1\t0/5000060\tno recovery target specified\n\n2\t0/7000000\tbefore 2026-11-26 12:00+00\n"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class World:
    """Timelines that commit once a second, a segment every ten; built up event by event."""

    def __init__(self) -> None:
        self.place, self.now, self.timeline = SEGMENT, 0, 1
        self.commits: dict[str, list[Commit]] = {}
        self.forks: dict[int, Fork] = {}
        self.backups: list[Backup] = []
        self.missing: set[str] = set()

    def write(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.place += SEGMENT // 10
            segment = wal.segment_at(self.timeline, self.place)
            self.commits.setdefault(segment, []).append(Commit(self.place, at(self.now)))

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def backup(self, label: str) -> None:
        segment = wal.segment_at(self.timeline, self.place)
        self.commits.setdefault(segment, [])
        stamp = int(at(self.now).timestamp())
        self.backups.append(
            Backup(
                label, "full", stamp, stamp, 1, 1, segment, segment, error=False,
                lsn_stop=self.place,
            )
        )  # fmt: skip

    def fork(self, place: int | None = None) -> None:
        """Another timeline begins at `place`, here where there is none given."""
        place = self.place + 1 if place is None else place
        new = max([1, *self.forks]) + 1
        first = wal.segment_at(new, place)
        copied = self.commits.get(wal.segment_at(self.timeline, place), [])
        self.commits[first] = [commit for commit in copied if commit.place < place]
        self.forks[new] = Fork(self.timeline, place)
        self.timeline, self.place = new, place

    def lose_tail(self) -> None:
        """The last segment of the present timeline never reached the archive (its node died)."""
        self.missing.add(wal.segment_at(self.timeline, self.place))

    def stock(self) -> Stock:
        segments = frozenset(self.commits) - self.missing
        archive = Archive(segments, self.forks, lambda name: tuple(self.commits[name]))
        return Stock(1, tuple(self.backups), archive)

    def restored(self, target: Target, points: dict[str, RestorePoint] | None = None) -> set[int]:
        """What PostgreSQL would have after the plan, as seconds; raises where it would not end."""
        plan = choose(target, [self.stock()], points or {})
        stock = self.stock()
        chain = stock.archive.chain(plan.timeline)
        ends = {part.timeline: part.end for part in chain}
        assert wal.timeline_of(plan.backup.wal_stop) in ends
        kept, number = set(), wal.begins_at(plan.backup.wal_start) // SEGMENT
        before = {
            c.at for cs in self.commits.values() for c in cs if self._is_before(c, chain, plan)
        }
        while True:
            name = stock.archive._name(plan.timeline, number)
            if name not in stock.archive.segments:
                raise AssertionError(f"recovery ended before its target, at {name}")
            for commit in self.commits[name]:
                if plan.kind == "time" and commit.at > datetime.fromisoformat(plan.value):
                    return _seconds(before | kept)
                kept.add(commit.at)
                if plan.kind == "lsn" and commit.place >= wal.lsn(plan.value):
                    return _seconds(before | kept)
            number += 1

    def _is_before(self, commit: Commit, chain: object, plan: object) -> bool:
        start = wal.begins_at(plan.backup.wal_start)  # type: ignore[attr-defined]
        found = [
            part
            for part in chain  # type: ignore[attr-defined]
            if commit.place < start and part.begin <= commit.place < (part.end or 2**62)
        ]
        names = [wal.segment_at(part.timeline, commit.place) for part in found]
        return any(commit in self.commits.get(name, []) for name in names)


def _seconds(found: set[datetime]) -> set[int]:
    return {round((one - START).total_seconds()) for one in found}


@pytest.fixture
def plain() -> World:
    world = World()
    world.write(20)
    world.backup("one")
    world.write(30)
    return world


def test_commits_of_a_dump() -> None:
    first, second = parse_commits(DUMP)
    assert (wal.lsn_text(first.place), first.at.microsecond) == ("0/805EC88", 561968)
    assert second.at == datetime(2026, 11, 25, 23, 52, 9, tzinfo=UTC)


def test_a_history_tells_where_each_ancestor_was_left() -> None:
    assert parse_history(HISTORY, 5) == {
        2: Fork(1, wal.lsn("0/5000060")),
        5: Fork(2, wal.lsn("0/7000000")),
    }
    assert parse_history("no history", 5) == {}


@given(st.integers(0, 2**60), st.integers(1, 2**31))
def test_places_and_segments_agree(place: int, timeline: int) -> None:
    name = wal.segment_at(timeline, place)
    assert wal.timeline_of(name) == timeline
    assert wal.begins_at(name) <= place < wal.begins_at(name) + SEGMENT
    assert wal.lsn(wal.lsn_text(place)) == place


def test_the_window_is_from_the_backups_end_to_the_last_commit(plain: World) -> None:
    [window] = windows(plain.stock())
    assert (window.first, window.last) == (at(21), at(50))
    assert window.first == usable_from(plain.backups[0])


@pytest.mark.parametrize("second", [21, 33.5, 49.999])
def test_an_instant_in_the_window(plain: World, second: float) -> None:
    assert plain.restored(Target(time=at(second))) == set(range(1, int(second) + 1))


def test_the_very_last_commit_is_reached(plain: World) -> None:
    assert plain.restored(Target(time=at(50))) == set(range(1, 51))


@pytest.mark.parametrize(("second", "words"), [(20.9, "before the first"), (50.1, "past the last")])
def test_outside_the_window(plain: World, second: float, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as refused:
        choose(Target(time=at(second)), [plain.stock()], {})
    assert "12:00:21.000Z to 2026-11-26T12:00:50.000Z" in refused.value.hint


def test_the_newest_backup_before_the_target_is_taken(plain: World) -> None:
    plain.backup("two")
    plain.write(10)
    stock = plain.stock()
    assert choose(Target(time=at(51.5)), [stock], {}).backup.label == "two"
    assert choose(Target(time=at(50.5)), [stock], {}).backup.label == "one"


def test_across_a_failover_whose_old_tail_is_in_the_new_timeline(plain: World) -> None:
    """The old node died: its last segment is there under the new timeline's name alone."""
    plain.write(3)
    plain.lose_tail()
    plain.fork()
    plain.wait(20)
    plain.write(10)
    for second in (51.5, 53, 60, 73, 74, 79.5):
        kept = {n for n in (*range(1, 54), *range(74, 84)) if n <= second}
        assert plain.restored(Target(time=at(second))) == kept, second
    [window] = windows(plain.stock())
    assert window.last == at(83)


def put_back(world: World, second: int) -> None:
    """As a restore does: another timeline from just before that second's commit on."""
    every = [commit for commits in world.commits.values() for commit in commits]
    world.fork(next(commit.place for commit in every if commit.at == at(second)))


def test_what_a_restore_put_away_is_still_reached_by_the_clock(plain: World) -> None:
    """Until 50 on timeline 1; put back to 43, in the middle of a segment; then timeline 2."""
    plain.backup("put away")
    plain.wait(10)
    put_back(plain, 44)
    plain.write(10)
    assert plain.restored(Target(time=at(45))) == set(range(1, 46))
    assert plain.restored(Target(time=at(55))) == set(range(1, 51))
    assert plain.restored(Target(time=at(65))) == {*range(1, 44), *range(61, 66)}
    assert choose(Target(time=at(65)), [plain.stock()], {}).backup.label == "one"
    assert choose(Target(time=at(55)), [plain.stock()], {}).backup.label == "put away"


def test_twice_put_back_in_the_same_segment(plain: World) -> None:
    for second in (46, 44):
        plain.timeline = 1
        put_back(plain, second)
        plain.wait(10)
        plain.write(4)
    assert plain.restored(Target(time=at(48))) == set(range(1, 49))
    assert plain.restored(Target(time=at(62.5))) == {*range(1, 46), 61, 62}
    assert plain.restored(Target(time=at(70))) == {*range(1, 46), *range(61, 65)}
    assert plain.restored(Target(time=at(76.5))) == {*range(1, 44), 75, 76}


def test_before_any_commit_it_is_the_first_timeline() -> None:
    world = World()
    world.backup("one")
    world.wait(10)
    world.write(5)
    world.fork()
    world.write(5)
    assert choose(Target(time=at(5)), [world.stock()], {}).timeline == 1


def test_a_gap_ends_a_window_and_another_begins_behind_it(plain: World) -> None:
    lost = wal.segment_at(1, SEGMENT + 40 * (SEGMENT // 10))
    plain.backup("two")
    plain.write(15)
    plain.missing.add(lost)
    first, second = windows(plain.stock())
    assert first.last < at(40)
    assert second.first == at(51)
    with pytest.raises(InvalidInputError, match=f"{lost} is missing"):
        choose(Target(time=at(48)), [plain.stock()], {})
    assert plain.restored(Target(time=at(60)))


def test_another_repository_takes_over_where_one_cannot(plain: World) -> None:
    lost = wal.segment_at(1, SEGMENT + 40 * (SEGMENT // 10))
    whole = plain.stock()
    plain.missing.add(lost)
    holed = plain.stock()
    second = Stock(2, whole.backups, whole.archive)
    assert choose(Target(time=at(45)), [holed, second], {}).repository == 2


def test_by_place_and_by_name(plain: World) -> None:
    place = plain.backups[0].lsn_stop + SEGMENT
    plan = choose(Target(lsn=wal.lsn_text(place)), [plain.stock()], {})
    assert (plan.kind, plan.timeline) == ("lsn", 1)
    point = RestorePoint("here", place, 1, at(30))
    assert choose(Target(name="here"), [plain.stock()], {"here": point}).kind == "name"
    with pytest.raises(InvalidInputError, match="no restore point there"):
        choose(Target(name="there"), [plain.stock()], {"here": point})
    for wrong, words in (("0/0", "before the end"), ("F/0", "past the last"), ("x/y", "no LSN")):
        with pytest.raises(InvalidInputError, match=words):
            choose(Target(lsn=wrong), [plain.stock()], {})


def test_without_a_backup_nothing_is_possible(plain: World) -> None:
    plain.backups.clear()
    assert windows(plain.stock()) == ()
    assert possible([plain.stock()]).startswith("nothing")
    with pytest.raises(InvalidInputError, match="no finished backup"):
        choose(Target(time=at(30)), [plain.stock()], {})
