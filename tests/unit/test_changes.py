"""What a topology file may change of a cluster that is there: by folders alone, without servers."""

from pathlib import Path
from typing import cast

import pytest

from cluster.errors import InvalidInputError, RefusedError
from cluster.former import joined
from cluster.inventory import Kind, Node, inventory
from cluster.local.target import LocalTarget
from cluster.topology_file import dump_topology
from mongo import former as mongo
from mongo import nodes, servers
from postgres import former as postgres
from skillswap_ops.changes import check_change, leave_with
from skillswap_ops.removal import find
from skillswap_ops.wiring import LocalContext
from tests.unit import mongo_samples

FIVE: dict[str, object] = {"mongo.shards[0].members": 5}
THIRD: dict[str, object] = {
    "postgres.members[2]": {"name": "pg3", "zone": "eu-west-a", "role": "asynchronous"}
}


def local(folder: Path, edits: dict[str, object] | None = None) -> LocalContext:
    made = mongo_samples.context(folder, edits)
    return LocalContext(**{**vars(made), "target": cast("LocalTarget", None)})


def built(folder: Path, edits: dict[str, object]) -> LocalContext:
    """A cluster of this topology, as far as its folders say: every node has data."""
    here = local(folder, edits)
    here.layout.topology.write_text(dump_topology(here.topology), "utf-8")
    for node in here.inventory.nodes:
        here.layout.data(node).mkdir(parents=True)
        here.layout.conf(node).mkdir()
    for replica_set in nodes.replica_sets(here):
        for node in replica_set.nodes:
            text = servers.member(here, replica_set, node).files[0].text
            (here.layout.conf(node) / servers.MONGOD_CONF).write_text(text, "utf-8")
    return here


def test_a_dropped_member_is_refused_and_its_command_is_named(tmp_path: Path) -> None:
    built(tmp_path, FIVE)
    with pytest.raises(RefusedError) as caught:
        check_change(local(tmp_path))
    assert caught.value.message == "not in the topology any more: shard-a-4, shard-a-5"
    assert caught.value.hint == (
        "these take them out, with the same file: `mongo member remove shard-a-4`, "
        "`mongo member remove shard-a-5`"
    )
    check_change(local(tmp_path), members_leave=True)
    check_change(local(tmp_path, FIVE))


def test_a_member_is_seen_that_the_clusters_own_file_has_no_more(tmp_path: Path) -> None:
    """Edited in place, or written by a removal that was killed: the folders say who is there."""
    built(tmp_path, FIVE)
    smaller = local(tmp_path)
    smaller.layout.topology.write_text(dump_topology(smaller.topology), "utf-8")
    with pytest.raises(RefusedError, match="any more: shard-a-4, shard-a-5"):
        check_change(smaller)
    there = {node.name: node for node in mongo.former(smaller)}
    before = local(tmp_path, FIVE).inventory
    assert {name: (node.kind, node.group, node.address) for name, node in there.items()} == {
        name: (Kind.SHARD, "shard-a", before.named(name).address)
        for name in ("shard-a-4", "shard-a-5")
    }
    [shard] = [
        one for one in nodes.shards(joined(smaller, there.values())) if one.name == "shard-a"
    ]
    assert [node.name for node in shard.nodes] == [f"shard-a-{n}" for n in range(1, 6)]


def test_what_is_being_removed_is_no_node_any_more(tmp_path: Path) -> None:
    here = built(tmp_path, FIVE)
    for number in (4, 5):
        folder = here.layout.root / "nodes" / f"shard-a-{number}"
        folder.rename(folder.with_name(f"{folder.name}.gone"))
    assert mongo.former(local(tmp_path)) == ()
    check_change(local(tmp_path))


def test_a_postgres_member_is_named_too(tmp_path: Path) -> None:
    built(tmp_path, THIRD)
    with pytest.raises(RefusedError) as caught:
        check_change(local(tmp_path))
    assert caught.value.hint == ("this takes it out, with the same file: `pg member remove pg3`")


def test_a_shard_does_not_leave_member_by_member(tmp_path: Path) -> None:
    third = {"name": "shard-c", "segment": "users_skills"}
    built(tmp_path, {"mongo.shards[2]": third})
    for leaves in (False, True):
        with pytest.raises(RefusedError, match="shard-c-1, shard-c-2, shard-c-3"):
            check_change(local(tmp_path), members_leave=leaves)


def test_nothing_else_changes_while_members_leave(tmp_path: Path) -> None:
    built(tmp_path, FIVE)
    with pytest.raises(RefusedError, match=r"tls.enabled would change to true"):
        check_change(local(tmp_path, {"tls.enabled": True}), members_leave=True)
    with pytest.raises(RefusedError, match="any more: redis-1"):
        check_change(local(tmp_path, {"redis.members": 0}), members_leave=True)


def test_a_member_that_is_not_the_last_would_move_others(tmp_path: Path) -> None:
    """Its place in the file gives a member its address."""
    fourth: dict[str, object] = {
        "postgres.members[2]": {"name": "pg3", "zone": "eu-west-c", "role": "synchronous"},
    }
    built(tmp_path, fourth)
    first = {"name": "pg3", "zone": "eu-west-c", "role": "synchronous"}
    with pytest.raises(RefusedError, match="pg3 would move from"):
        check_change(local(tmp_path, {"postgres.members[1]": first}), members_leave=True)


def test_only_members_of_what_stays_have_a_command(tmp_path: Path) -> None:
    wanted = inventory(local(tmp_path).topology)

    def node(kind: Kind, group: str) -> Node:
        return Node("x", kind, group, "", "", "")

    assert leave_with([node(Kind.CONFIG, "config")], wanted) == {"x": "mongo member remove"}
    assert leave_with([node(Kind.ARBITER, "shard-a")], wanted) == {"x": "mongo member remove"}
    assert leave_with([node(Kind.POSTGRES, "payments-dr")], wanted) == {"x": "pg member remove"}
    assert leave_with([node(Kind.SHARD, "shard-c")], wanted) == {}
    assert leave_with([node(Kind.REDIS, "redis")], wanted) == {}


def test_a_member_that_the_file_still_has_does_not_leave(tmp_path: Path) -> None:
    here = built(tmp_path, FIVE)
    with pytest.raises(InvalidInputError, match="shard-a-5 is in the topology"):
        find(here, "shard-a-5", mongo.former(here))
    smaller = local(tmp_path)
    found = find(smaller, "shard-a-5", mongo.former(smaller))
    assert found
    assert found.name == "shard-a-5"
    assert find(smaller, "shard-a-55", mongo.former(smaller)) is None
    assert postgres.former(smaller) == ()
