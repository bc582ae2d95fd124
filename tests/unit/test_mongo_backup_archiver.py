"""The archiver's follower: where it goes on, what it keeps, what it calls a gap."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from cluster.errors import RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.status import Health
from mongo.backup import manifest
from mongo.backup.archive import judged
from mongo.backup.archiver.config import SetState, State
from mongo.backup.archiver.follower import Follower
from mongo.backup.archiver.tail import Entry, Oplog, Read, Tail, missing
from mongo.backup.manifest import Branch, History, Manifest, Part
from mongo.backup.sealing import Encrypted
from mongo.backup.slices import Position, decode, hash_of, listed, reach
from mongo.backup.stamps import Stamp
from mongo.backup.storage import Folder
from mongo.client import Client

SEALER = Encrypted("a secret")
BEGAN = datetime(2026, 11, 26, tzinfo=UTC)


def entry(seconds: int, text: str = "") -> Entry:
    return Entry(Stamp(seconds, 1), bson.encode({"ts": Timestamp(seconds, 1), "o": text}))


class FakeTail(Tail):
    """An oplog in memory; a rule of the real one decides what a gap is."""

    def __init__(self, *entries: Entry, set_id: str = "set") -> None:
        self.entries, self._set_id, self.down = list(entries), set_id, False

    def after(self, place: Position, limit: int) -> Read:
        if self.down:
            raise UnreachableError("down")
        found = [one for one in self.entries if one.at >= place.last]
        if found:
            gap = missing(place, found[0].position, self.entries[0].at)
            return Read(gap=gap) if gap else Read(tuple(found[1:]))
        return Read()

    def newest(self) -> Position:
        return self.entries[-1].position

    def set_id(self) -> str:
        return self._set_id


class Lab:
    """A follower over a folder, with a clock that is moved by hand."""

    def __init__(self, root: Path, tail: FakeTail) -> None:
        self.at, self.tail, self.storage = BEGAN, tail, Folder(root)
        self.follower = self.anew()

    def anew(self) -> Follower:
        """As after kill -9."""
        self.follower = Follower("a", self.tail, self.storage, SEALER, 5, lambda: self.at)
        return self.follower

    def write(self, *seconds: int) -> None:
        self.tail.entries += [entry(one) for one in seconds]

    def step(self, seconds: float = 0) -> None:
        self.at += timedelta(seconds=seconds)
        self.follower.step()

    def kept(self, history: int = 1) -> list[int]:
        """The seconds of every entry in the archive, in order."""
        found = []
        for one in listed(self.storage, history, "a").slices:
            with self.storage.open(one.key) as source:
                found += [bson.decode(raw)["ts"].time for raw in decode(SEALER, one, source)]
        return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, FakeTail(entry(1), entry(2)))


def test_it_begins_with_what_comes_next(lab: Lab) -> None:
    lab.step()
    lab.write(3, 4)
    lab.step(1)
    assert lab.kept() == []  # not yet due
    lab.step(5)
    assert lab.kept() == [3, 4]


def test_a_quiet_oplog_makes_no_slices_and_is_covered(lab: Lab) -> None:
    lab.step()
    lab.step(60)
    assert lab.kept() == []
    assert lab.follower.state is not None
    assert lab.follower.state.covered == lab.at


def test_what_waits_is_not_covered(lab: Lab) -> None:
    lab.step()
    lab.step(1)
    covered = lab.at
    lab.write(3)
    lab.step(1)
    lab.step(1)
    assert lab.follower.state is not None
    assert lab.follower.state.covered == covered
    lab.step(5)
    assert lab.follower.state.covered == lab.at


def test_after_a_kill_it_goes_on_after_its_last_slice(lab: Lab) -> None:
    lab.step()
    lab.write(3, 4)
    lab.step(1)
    lab.step(5)
    lab.write(5, 6)
    lab.step(1)  # read, and lost with the process
    lab.anew()
    lab.write(7)
    lab.step()
    lab.step(5)
    assert lab.kept() == [3, 4, 5, 6, 7]
    found = reach(listed(lab.storage, 1, "a").slices, Stamp(2, 1))
    assert (found.last, found.missing) == (Stamp(7, 1), None)


def test_an_oplog_that_rolled_over_is_a_gap_in_the_archive(lab: Lab) -> None:
    lab.step()
    lab.write(3)
    lab.step()
    lab.step(5)
    lab.write(4, 5, 6)
    del lab.tail.entries[:5]  # only 6 is left
    lab.step()
    assert lab.follower.state is not None
    assert "the oplog begins at" in lab.follower.state.gap
    lab.write(7)
    lab.step()
    lab.step(5)
    assert lab.kept() == [3, 7]
    archived = listed(lab.storage, 1, "a")
    assert [(gap.after, gap.until) for gap in archived.gaps] == [(Stamp(3, 1), Stamp(6, 1))]
    assert reach(archived.slices, Stamp(2, 1)).missing == Stamp(6, 1)


def test_another_entry_of_the_same_time_is_another_oplog(lab: Lab) -> None:
    """After a restore by hand, or a rollback: never what was archived before."""
    lab.step()
    lab.write(3)
    lab.step()
    lab.step(5)
    lab.tail.entries[-1] = entry(3, "another")
    lab.write(4)
    lab.step()
    assert lab.follower.state is not None
    assert "rolled back, or restored" in lab.follower.state.gap


def test_what_was_read_before_a_gap_is_kept(lab: Lab) -> None:
    lab.step()
    lab.write(3, 4)
    lab.step(1)
    lab.tail.entries[:] = [entry(9)]
    lab.step(1)
    assert lab.kept() == [3, 4]


def test_after_a_gap_and_a_kill_it_goes_on_behind_the_gap(lab: Lab) -> None:
    lab.step()
    lab.tail.entries[:] = [entry(9)]
    lab.step()
    lab.anew()
    lab.write(10)
    lab.step()
    lab.step(5)
    assert lab.kept() == [10]
    assert listed(lab.storage, 1, "a").slices[0].prev == Stamp(9, 1)


def snapshot(lab: Lab, seconds: int) -> None:
    """One whose copy of the set ends there."""
    part = Part(
        set_id="set", node="a-2", last=Stamp(seconds, 1), key="", sha256="", bytes=0, stored=0
    )
    label = f"20261126T{seconds:06d}000Z"
    made = Manifest(
        label=label, history=1, cluster="", server="", key="", started=BEGAN, stopped=BEGAN,
        sets={"a": part},
    )  # fmt: skip
    manifest.store(lab.storage, manifest.manifest_key(label), made)


def test_a_gap_is_said_until_a_snapshot_came_after_it(lab: Lab) -> None:
    """Also by an archiver that was started since: restores end before it all the same."""

    def gap() -> str:
        assert lab.follower.state is not None
        return lab.follower.state.gap

    lab.step()
    snapshot(lab, 2)
    lab.tail.entries[:] = [entry(9)]
    lab.step()
    assert "the oplog begins at" in gap()
    lab.step(40)
    assert gap()
    lab.anew()
    lab.step()
    assert gap() == "from 00:00:02 on: it was found before"
    snapshot(lab, 9)
    lab.step(10)
    assert gap()  # it is not looked for all the time
    lab.step(21)
    assert gap() == ""
    lab.anew()
    lab.step()
    assert gap() == ""


def test_a_new_history_begins_where_it_left_the_other(lab: Lab) -> None:
    lab.step()
    lab.write(3, 4)
    lab.step()
    lab.step(5)
    branch = Branch(last=Stamp(3, 1), hash=hash_of(entry(3).raw))
    made = History(number=2, parent=1, cut=Stamp(4, 0), made=BEGAN, sets={"a": branch})
    manifest.store(lab.storage, manifest.history_key(2), made)
    lab.tail.entries[:] = [entry(1), entry(2), entry(3), entry(20)]
    lab.anew()
    lab.step()
    lab.step(5)
    assert lab.follower.history == 2
    assert (lab.kept(1), lab.kept(2)) == ([3, 4], [20])


def test_an_archive_of_another_cluster_is_refused(lab: Lab) -> None:
    lab.step()
    lab.write(3)
    lab.step()
    lab.step(5)
    lab.tail = FakeTail(*lab.tail.entries, set_id="another")
    lab.anew()
    for _ in range(2):  # not only the first time that it is asked
        with pytest.raises(RefusedError, match="another cluster's"):
            lab.step(10)
    assert lab.kept() == [3]


def test_a_set_that_does_not_answer_is_covered_no_further(lab: Lab) -> None:
    lab.step()
    covered = lab.at
    lab.tail.down = True
    with pytest.raises(UnreachableError):
        lab.step(30)
    assert lab.follower.state is not None
    assert lab.follower.state.covered == covered


# What status says of it

NODE = Node("archiver-1", Kind.ARCHIVER, "archiver", "eu", "a", "127.0.0.1")


def said(**changes: object) -> State:
    state = SetState(last=Stamp(1, 1), covered=BEGAN)
    return State(history=3, sets={"a": state.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("state", "health", "detail"),
    [
        (said(), Health.OK, "1 sets"),
        (said(covered=BEGAN - timedelta(seconds=61)), Health.DEGRADED, "ends 61 s ago"),
        (said(trouble="no primary"), Health.DEGRADED, "a: no primary"),
        (said(gap="from 10:00:00 on"), Health.DEGRADED, "a: gap from 10:00:00 on"),
        (None, Health.DEGRADED, "has not begun with a"),
    ],
)
def test_status_tells_what_is_wrong(state: State | None, health: Health, detail: str) -> None:
    found = judged(NODE, state, ["a"], BEGAN)
    assert found.health is health
    assert detail in found.detail


def test_a_set_that_it_does_not_follow_is_told() -> None:
    found = judged(NODE, said(), ["a", "b"], BEGAN)
    assert (found.health, found.detail) == (Health.DEGRADED, "has not begun with b")


def test_a_set_that_was_added_since_the_topology_was_read_is_no_trouble() -> None:
    assert judged(NODE, said(), [], BEGAN).health is Health.OK


class FakeOplog:
    """What a cursor over these entries gives, from a time on."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    def find(self, query: dict[str, dict[str, Timestamp]] | None = None) -> "FakeOplog":
        since = query["ts"]["$gte"] if query else Timestamp(0, 0)
        return FakeOplog(*(one for one in self._entries if one.at.bson >= since))

    def sort(self, *_: object) -> "FakeOplog":
        return self

    def limit(self, count: int) -> "FakeOplog":
        return FakeOplog(*self._entries[:count])

    def __iter__(self) -> Iterator[RawBSONDocument]:
        return (RawBSONDocument(one.raw) for one in self._entries)


def test_an_entry_larger_than_a_read_holds_nothing_up() -> None:
    """It is read again as the place to go on from, and counts for nothing then."""
    entries = [entry(1), entry(2, "x" * 1000), entry(3, "x" * 1000), entry(4)]
    tail = Tail("a", cast("Client", None))
    place, read = entries[0].position, []
    for _ in range(len(entries)):
        found = tail._read(cast("Oplog", FakeOplog(*entries)), place, 500)
        read += [one.at.seconds for one in found.entries]
        place = found.entries[-1].position if found.entries else place
    assert read == [2, 3, 4]
