"""From what is in a repository to the instants that can be restored to."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.backup.contracts import Window
from cluster.errors import InvalidInputError
from mongo.backup import manifest, settings, stamps
from mongo.backup.inplace import branch
from mongo.backup.manifest import Branch, History, Manifest, Part, ancestry, dump, load
from mongo.backup.planning import Catalogue, plan, superfluous, windows
from mongo.backup.recover.model import Outcome
from mongo.backup.restoring import Beside
from mongo.backup.sealing import DamagedError
from mongo.backup.slices import Slice
from mongo.backup.stamps import Stamp
from tests.unit.mongo_samples import context

SETS = ("config", "shard-a")


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def snapshot(label: str, *, history: int = 1, **last: int) -> Manifest:
    """A snapshot whose sets were copied at these seconds."""
    sets = {
        name.replace("_", "-"): Part(
            set_id="id", node="n", last=Stamp(at, 5), key="k", sha256="", bytes=1, stored=1
        )
        for name, at in last.items()
    }
    return Manifest(
        label=label, history=history, cluster="c", server="6.0.5", key="", sets=sets,
        started=when(0), stopped=when(1),
    )  # fmt: skip


def archive(history: int, name: str, *seconds: int) -> tuple[Slice, ...]:
    pairs = pairwise(seconds)
    return tuple(Slice(history, name, Stamp(one, 9), Stamp(two, 9)) for one, two in pairs)


def holding(*manifests: Manifest, a: tuple[int, ...] = (90, 110, 200), **more: object) -> Catalogue:
    slices = {
        (1, "config"): archive(1, "config", 90, 150, 190),
        (1, "shard-a"): archive(1, "shard-a", *a),
    }
    return Catalogue(1, {}, manifests, slices)


FIRST = snapshot("one", config=100, shard_a=102)


def test_a_window_begins_after_the_last_set_was_copied_and_ends_with_the_shortest_archive() -> None:
    assert windows(holding(FIRST)) == (Window(1, when(103), when(190)),)


def test_snapshots_in_one_archive_make_one_window() -> None:
    second = snapshot("two", config=150, shard_a=150)
    assert windows(holding(FIRST, second)) == (Window(1, when(103), when(190)),)


def test_a_gap_divides_the_windows() -> None:
    second = snapshot("two", config=160, shard_a=160)
    slices = {
        (1, "config"): archive(1, "config", 90, 190),
        (1, "shard-a"): (*archive(1, "shard-a", 90, 130), *archive(1, "shard-a", 150, 180)),
    }
    found = Catalogue(1, {}, (FIRST, second), slices)
    assert windows(found) == (Window(1, when(103), when(130)), Window(1, when(161), when(180)))
    with pytest.raises(InvalidInputError, match=r"shard-a's archive lacks .* 00:02:10 .* 00:02:30"):
        plan(found, when(140))
    assert plan(found, when(161)).manifest is second


@pytest.mark.parametrize(
    ("instant", "why"),
    [(102.9, "before the first snapshot"), (191, "past the end of the archive")],
)
def test_what_is_out_of_reach_is_refused_with_the_range(instant: float, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        plan(holding(FIRST), when(instant))
    assert "1970-01-01 00:01:43 UTC to 1970-01-01 00:03:10 UTC" in refused.value.hint


def test_without_a_snapshot_there_is_nothing() -> None:
    with pytest.raises(InvalidInputError, match="no snapshot") as refused:
        plan(holding(), when(120))
    assert "backup run" in refused.value.hint


def test_a_plan_takes_the_newest_snapshot_and_the_slices_that_it_needs() -> None:
    second = snapshot("two", config=120, shard_a=120)
    made = plan(holding(FIRST, second), when(160.7))
    assert made.manifest is second
    assert made.cut == Stamp(160, 0)
    assert made.instant == when(160)
    pieces = {one.replica_set: [p.slice.last.seconds for p in one.pieces] for one in made.sets}
    assert pieces == {"config": [150, 190], "shard-a": [200]}
    # Nothing of the second itself: what is replayed ends before it.
    last = [p.upto for one in made.sets for p in one.pieces][-1]
    assert last == Stamp(159, 0xFFFFFFFF)


def test_the_instant_of_a_slices_end_needs_no_later_one() -> None:
    made = plan(holding(FIRST), when(110))
    assert [p.slice.last.seconds for p in made.sets[1].pieces] == [110]


# Histories


def branched(cut: int = 130) -> Catalogue:
    """History 2 left 1 before second `cut`; history 1 went on for a while."""
    second = History(
        number=2, parent=1, cut=Stamp(cut, 0), made=when(300),
        sets={name: Branch(last=Stamp(cut - 1, 3), hash="h") for name in SETS},
    )  # fmt: skip
    slices = {
        (1, name): archive(1, name, 90, 120, 200) for name in SETS
    } | {
        (2, name): (Slice(2, name, Stamp(cut - 1, 3), Stamp(400, 1)),) for name in SETS
    }  # fmt: skip
    return Catalogue(2, {2: second}, (FIRST,), slices)


def test_a_restore_goes_through_the_history_that_was_left_and_then_its_own() -> None:
    made = plan(branched(), when(350))
    for one in made.sets:
        assert [(p.slice.history, p.upto) for p in one.pieces] == [
            (1, Stamp(120, 9)),
            (1, Stamp(129, 3)),
            (2, Stamp(349, 0xFFFFFFFF)),
        ]


def test_what_happened_after_the_cut_in_the_old_history_is_never_used() -> None:
    """Snapshots too: one of the old history after the cut is of another world."""
    late = snapshot("late", config=150, shard_a=150)
    found = branched()
    found = Catalogue(2, found.histories, (FIRST, late), found.slices)
    assert plan(found, when(350)).manifest is FIRST
    with pytest.raises(DamagedError):
        ancestry({2: found.histories[2].model_copy(update={"parent": 2})}, 2)


def test_an_instant_means_the_data_as_it_was_then() -> None:
    """History 1 was written until 2 began at 300: what it wrote after the cut is within reach."""
    found = branched()
    made = plan(found, when(180))
    assert made.history == 1
    assert {p.slice.history for one in made.sets for p in one.pieces} == {1}
    assert [p.upto for one in made.sets for p in one.pieces][-1] == Stamp(179, 0xFFFFFFFF)
    assert (plan(found, when(300)).history, plan(found, when(350)).history) == (2, 2)
    assert windows(found) == (Window(1, when(103), when(200)), Window(1, when(300), when(400)))
    with pytest.raises(InvalidInputError, match="past the end of history 1, which a restore"):
        plan(found, when(299))


def test_a_snapshot_of_the_history_that_was_left_serves_what_was_written_in_it() -> None:
    late = snapshot("late", config=150, shard_a=150)
    found = branched()
    found = Catalogue(2, found.histories, (FIRST, late), found.slices)
    assert plan(found, when(180)).manifest is late
    assert plan(found, when(140)).manifest is FIRST


def test_a_history_may_go_on_from_one_that_was_left_before() -> None:
    """Back to 180 of history 1, which 2 had put away: 3 goes on from 1, as if 2 had not been."""
    found = branched()
    third = History(
        number=3, parent=1, cut=Stamp(180, 0), made=when(500.5),
        sets={name: Branch(last=Stamp(179, 1), hash="h") for name in SETS},
    )  # fmt: skip
    slices = {**found.slices} | {
        (3, name): (Slice(3, name, Stamp(179, 1), Stamp(600, 1)),) for name in SETS
    }
    found = Catalogue(3, {**found.histories, 3: third}, (FIRST,), slices)
    for one in plan(found, when(550)).sets:
        assert [(p.slice.history, p.upto.seconds) for p in one.pieces] == [
            (1, 120),
            (1, 179),
            (3, 549),
        ]
    assert plan(found, when(350)).history == 2
    assert plan(found, when(180)).history == 1
    assert windows(found) == (
        Window(1, when(103), when(200)),
        Window(1, when(300), when(400)),
        Window(1, when(501), when(600)),
    )


def test_an_old_history_that_lacks_its_end_carries_no_new_one() -> None:
    found = branched()
    slices = {**found.slices, (1, "config"): archive(1, "config", 90, 120)}
    assert windows(Catalogue(2, found.histories, (FIRST,), slices)) == (
        Window(1, when(103), when(120)),
    )


# Retention


def test_expiry_keeps_what_the_kept_snapshots_need() -> None:
    second = snapshot("two", config=155, shard_a=155)
    found = holding(FIRST, second)
    assert superfluous(found, 2) == ((), ())
    old, slices = superfluous(found, 1)
    assert old == ("one",)
    assert {(one.replica_set, one.last.seconds) for one in slices} == {
        ("config", 150),
        ("shard-a", 110),
    }


def test_a_snapshot_that_cannot_be_restored_does_not_push_out_one_that_can() -> None:
    beyond = snapshot("two", config=250, shard_a=250)  # behind the archive's end: not yet
    assert superfluous(holding(FIRST, beyond), 1) == ((), ())


# Documents


def test_documents_carry_their_checksum() -> None:
    data = dump(FIRST)
    assert load(Manifest, data) == FIRST
    for place in range(len(data)):
        with pytest.raises(DamagedError):
            load(Manifest, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DamagedError):
            load(Manifest, data[:place])


def test_instants_are_whole_seconds() -> None:
    assert stamps.cut(when(10.999)) == Stamp(10, 0)
    assert stamps.reachable(Stamp(10, 999)) == when(10)
    assert stamps.first_reachable(Stamp(10, 0)) == when(11)


def test_a_restore_begins_a_history_that_goes_on_from_the_one_that_was_written_then(
    tmp_path: Path,
) -> None:
    made = context(tmp_path)
    storage = settings.place(made).storage()
    second = branched().histories[2]
    for number in (2, 3, 4):  # from 3 on they were begun by restores that were cut off
        again = second.model_copy(update={"number": number})
        manifest.store(storage, manifest.history_key(number), again)
    wanted = plan(branched(), when(180))
    outcome = Outcome(last=Stamp(179, 1), hash="h", replayed=1, bytes=1, doubt=(), committed=())
    branch(made, wanted, Beside(tmp_path, {"config": outcome}, 1.0), ended=2)
    known = manifest.histories(storage)
    assert (set(known), known[3].parent, known[3].cut) == ({2, 3}, 1, Stamp(180, 0))
    assert known[3].sets["config"].last == Stamp(179, 1)
    assert manifest.ancestry(known, 3) == (1, 3)
