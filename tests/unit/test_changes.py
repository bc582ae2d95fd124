"""What a topology file may change of a cluster that is there: by folders alone, without servers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
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
from skillswap_ops.changes import check_change, leave_with, remember_shard
from skillswap_ops.removal import find, members_of
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
        "to take out what goes, with the same file: `mongo member remove shard-a-4`, "
        "`mongo member remove shard-a-5`"
    )
    check_change(local(tmp_path), leaving=True)
    check_change(local(tmp_path, FIVE))


def test_a_shard_that_has_left_leaves_its_name(tmp_path: Path) -> None:
    """What was archived under it is restored by it."""
    built(tmp_path, {})
    third: dict[str, object] = {
        "mongo.shards[2]": {"name": "shard-c", "segment": "sessions_messages", "members": 1}
    }
    check_change(local(tmp_path, third))
    remember_shard(local(tmp_path).layout, "shard-c")
    with pytest.raises(RefusedError, match="shard-c was a shard that has left"):
        check_change(local(tmp_path, third))
    check_change(local(tmp_path))


def test_data_files_of_one_major_version_are_not_given_to_another(tmp_path: Path) -> None:
    built(tmp_path, {"postgres.version": 15})
    with pytest.raises(
        RefusedError, match=r"from 15 to 16 under its data \(runbook pg-major-upgrade\)"
    ):
        check_change(local(tmp_path, {"postgres.version": 16}))
    check_change(local(tmp_path, {"postgres.version": 15}))


@pytest.mark.parametrize("runs", [True, False])
def test_a_secret_between_two_is_ended_first_where_servers_run(
    tmp_path: Path, *, runs: bool
) -> None:
    made = local(tmp_path)
    made.secrets.get("mongo-app")
    made.secrets.stage("mongo-app")
    target = SimpleNamespace(supervisor=SimpleNamespace(alive=lambda: runs))
    context = replace(made, target=cast("LocalTarget", target))
    if runs:
        with pytest.raises(RefusedError, match="cut off: mongo-app"):
            check_change(context)
    else:
        check_change(context)


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
    assert caught.value.hint == (
        "to take out what goes, with the same file: `pg member remove pg3`"
    )


def test_a_shard_leaves_by_a_command_of_its_own(tmp_path: Path) -> None:
    third = {"name": "shard-c", "segment": "users_skills"}
    built(tmp_path, {"mongo.shards[2]": third})
    smaller = local(tmp_path)
    with pytest.raises(RefusedError) as caught:
        check_change(smaller)
    assert caught.value.message == ("not in the topology any more: shard-c-1, shard-c-2, shard-c-3")
    assert caught.value.hint == (
        "to take out what goes, with the same file: `mongo shard remove shard-c`"
    )
    check_change(smaller, leaving=True)
    members = members_of(smaller, "shard-c")
    assert [node.name for node in members] == ["shard-c-1", "shard-c-2", "shard-c-3"]
    assert members_of(smaller, "shard-d") == ()
    with pytest.raises(InvalidInputError, match="shard-a is in the topology"):
        members_of(smaller, "shard-a")


def test_nothing_else_changes_while_members_leave(tmp_path: Path) -> None:
    built(tmp_path, FIVE)
    with pytest.raises(RefusedError, match=r"tls.enabled would change to true"):
        check_change(local(tmp_path, {"tls.enabled": True}), leaving=True)
    with pytest.raises(RefusedError, match="any more: redis-1"):
        check_change(local(tmp_path, {"redis.members": 0}), leaving=True)


def test_a_member_that_is_not_the_last_would_move_others(tmp_path: Path) -> None:
    """Its place in the file gives a member its address."""
    fourth: dict[str, object] = {
        "postgres.members[2]": {"name": "pg3", "zone": "eu-west-c", "role": "synchronous"},
    }
    built(tmp_path, fourth)
    first = {"name": "pg3", "zone": "eu-west-c", "role": "synchronous"}
    with pytest.raises(RefusedError, match="pg3 would move from"):
        check_change(local(tmp_path, {"postgres.members[1]": first}), leaving=True)


def test_only_members_of_what_stays_have_a_command(tmp_path: Path) -> None:
    wanted = inventory(local(tmp_path).topology)

    def node(kind: Kind, group: str) -> Node:
        return Node("x", kind, group, "", "", "")

    def commands(kind: Kind, group: str) -> dict[str, str]:
        return leave_with([node(kind, group)], wanted)

    assert commands(Kind.CONFIG, "config") == {"x": "mongo member remove x"}
    assert commands(Kind.ARBITER, "shard-a") == {"x": "mongo member remove x"}
    assert commands(Kind.POSTGRES, "payments-dr") == {"x": "pg member remove x"}
    assert commands(Kind.ARBITER, "shard-c") == {"x": "mongo shard remove shard-c"}
    assert commands(Kind.POSTGRES, "another-region") == {}
    assert commands(Kind.REDIS, "redis") == {}


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
