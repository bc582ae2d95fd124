"""Which member is copied, and where a restored copy may listen."""

from pathlib import Path

import pytest

from cluster.errors import InvalidInputError, RefusedError
from mongo import nodes
from mongo.backup.inplace import journal, refuse_half_restored
from mongo.backup.planning import Plan
from mongo.backup.restoring import check_sets, place_of, refuse_full
from mongo.backup.snapshot import choose
from mongo.backup.stamps import Stamp
from mongo.set_model import Answer, State
from tests.unit.mongo_samples import context
from tests.unit.test_mongo_backup_planning import snapshot

PRIMARY, SECONDARY, RECOVERING = State.PRIMARY, State.SECONDARY, State.RECOVERING


def answers(*said: tuple[State, int]) -> list[Answer]:
    return [
        Answer(f"127.77.1.{number}:27018", state=state, applied=(seconds, 0))
        for number, (state, seconds) in enumerate(said, start=1)
    ]


def chosen(tmp_path: Path, *said: tuple[State, int]) -> str:
    return choose(nodes.shards(context(tmp_path))[0], answers(*said)).name


def test_the_secondary_that_is_least_behind_is_copied(tmp_path: Path) -> None:
    assert chosen(tmp_path, (PRIMARY, 100), (SECONDARY, 97), (SECONDARY, 99)) == "shard-a-3"


@pytest.mark.parametrize(
    "said",
    [
        ((PRIMARY, 100), (SECONDARY, 80), (RECOVERING, 100)),  # lags, or does not serve
        ((SECONDARY, 100), (SECONDARY, 100), (SECONDARY, 100)),  # nobody leads
    ],
)
def test_where_nobody_can_be_copied_that_is_said(
    tmp_path: Path, said: tuple[tuple[State, int], ...]
) -> None:
    with pytest.raises(RefusedError, match="no secondary that can be copied"):
        chosen(tmp_path, *said)


def test_a_set_of_one_member_has_no_choice(tmp_path: Path) -> None:
    made = context(tmp_path, {"mongo.shards[0].members": 1})
    assert choose(nodes.shards(made)[0], answers((PRIMARY, 1))).name == "shard-a-1"


def test_copies_listen_where_no_node_does(tmp_path: Path) -> None:
    made = context(tmp_path)
    places = [place_of(made, one.name) for one in nodes.replica_sets(made)]
    assert places == [("127.77.190.1", 27019), ("127.77.190.2", 27018), ("127.77.190.3", 27018)]
    assert not {address for address, _ in places} & {n.address for n in made.inventory.nodes}


def test_a_snapshot_of_other_shards_is_refused(tmp_path: Path) -> None:
    made = Plan(snapshot("one", config=1, shard_a=1), Stamp(9, 0), (), 1)
    sets = {one.name: one for one in nodes.replica_sets(context(tmp_path))}
    with pytest.raises(
        RefusedError, match="holds config, shard-a; the cluster has config, shard-a"
    ):
        check_sets(made, sets)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    refuse_full(tmp_path / "none")
    (tmp_path / "some").mkdir()
    refuse_full(tmp_path / "some")
    (tmp_path / "some" / "thing").touch()
    with pytest.raises(InvalidInputError, match="not empty"):
        refuse_full(tmp_path / "some")


def test_nothing_is_provisioned_over_a_restore_that_was_cut_off(tmp_path: Path) -> None:
    made = context(tmp_path)
    refuse_half_restored(made)
    text = '{"instant": "2026-11-26T01:02:03Z", "parent": 1}'
    journal(made).write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match="01:02:03Z was cut off") as refused:
        refuse_half_restored(made)
    assert "restore mongo --to 2026-11-26T01:02:03Z --in-place" in refused.value.hint
