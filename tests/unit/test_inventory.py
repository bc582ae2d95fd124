"""Names, zones and addresses of the nodes."""

import pytest

from cluster.errors import InvalidInputError
from cluster.inventory import Kind, Node, fleet_names, inventory, member_names, moved, retired
from cluster.topology import PostgresRole, ReplicaSet
from cluster.topology_file import load_topology
from tests.unit.topology_samples import topology

TP3 = inventory(load_topology(None))


def table(nodes: tuple[Node, ...]) -> list[str]:
    return [f"{node.name} {node.zone} {node.address}" for node in nodes]


def test_tp3_node_by_node() -> None:
    assert table(TP3.nodes) == [
        "shard-a-1 eu-west-a 127.77.1.1",
        "shard-a-2 eu-west-b 127.77.1.2",
        "shard-a-3 eu-west-c 127.77.1.3",
        "shard-b-1 eu-west-a 127.77.2.1",
        "shard-b-2 eu-west-b 127.77.2.2",
        "shard-b-3 eu-west-c 127.77.2.3",
        "config-1 eu-west-a 127.77.50.1",
        "config-2 eu-west-b 127.77.50.2",
        "config-3 eu-west-c 127.77.50.3",
        "router-1 eu-west-a 127.77.51.1",
        "router-2 eu-west-b 127.77.51.2",
        "archiver-1 eu-west-a 127.77.52.1",
        "pg1 eu-west-a 127.77.60.1",
        "pgsync1 eu-west-b 127.77.60.2",
        "etcd-1 eu-west-a 127.77.61.1",
        "etcd-2 eu-west-b 127.77.61.2",
        "etcd-3 eu-west-c 127.77.61.3",
        "pgdr1 eu-central-a 127.77.160.1",
        "etcd-dr-1 eu-central-a 127.77.161.1",
        "haproxy-1 eu-west-a 127.77.62.1",
        "haproxy-2 eu-west-b 127.77.62.2",
        "redis-1 eu-west-a 127.77.70.1",
    ]


def test_kinds_groups_and_roles() -> None:
    assert [node.name for node in TP3.of(Kind.POSTGRES, group="payments")] == ["pg1", "pgsync1"]
    assert [node.name for node in TP3.of(Kind.ETCD, group="etcd-dr")] == ["etcd-dr-1"]
    assert len(TP3.of(Kind.SHARD, Kind.CONFIG)) == 9
    roles = {node.name: node.role for node in TP3.of(Kind.POSTGRES)}
    assert roles == {
        "pg1": PostgresRole.PRIMARY,
        "pgsync1": PostgresRole.SYNCHRONOUS,
        "pgdr1": PostgresRole.ASYNCHRONOUS,
    }
    assert TP3.named("pgdr1").region == "eu-central"
    assert TP3.named("pg1").at(5432) == "127.77.60.1:5432"


def test_an_arbiter_comes_last_and_out_of_the_way() -> None:
    shard = {"name": "a", "segment": "a", "members": 2, "arbiter": True}
    nodes = inventory(topology({"mongo.shards[0]": shard})).of(Kind.SHARD, Kind.ARBITER, group="a")
    assert table(nodes) == [
        "a-1 eu-west-a 127.77.1.1",
        "a-2 eu-west-b 127.77.1.2",
        "a-arbiter eu-west-c 127.77.1.100",
    ]
    assert nodes[-1].kind is Kind.ARBITER


def test_zones_by_hand_are_kept() -> None:
    zones = ["eu-west-c", "eu-west-b", "eu-west-a"]
    nodes = inventory(topology({"mongo.shards[1].zones": zones})).of(Kind.SHARD, group="shard-b")
    assert [node.zone for node in nodes] == zones


def test_members_go_round_the_zones() -> None:
    nodes = inventory(topology({"mongo.shards[1].members": 7})).of(Kind.SHARD, group="shard-b")
    assert [node.zone[-1] for node in nodes] == list("abcabca")


def test_the_edge_is_where_postgresql_is() -> None:
    """Also where PostgreSQL is not in the first region."""
    edits = {
        "postgres.region": "eu-central",
        "regions[1].zones": ["eu-central-a", "eu-central-b", "eu-central-c"],
        "postgres.members[0].zone": "eu-central-a",
        "postgres.members[1].zone": "eu-central-b",
        "postgres.dr.region": "eu-west",
        "postgres.dr.members[0].zone": "eu-west-a",
    }
    nodes = inventory(topology(edits))
    assert {node.region for node in nodes.of(Kind.HAPROXY)} == {"eu-central"}
    assert {node.region for node in nodes.of(Kind.ETCD, group="etcd")} == {"eu-central"}
    assert {node.region for node in nodes.of(Kind.ETCD, group="etcd-dr")} == {"eu-west"}
    assert {node.region for node in nodes.of(Kind.ROUTER)} == {"eu-west"}


def test_a_new_shard_at_the_end_moves_nobody_and_one_in_front_is_told() -> None:
    new = {"name": "shard-c", "segment": "more"}
    behind = inventory(topology({"mongo.shards[2]": new}))
    assert moved(TP3, behind) == ()
    shards = [new, {"name": "shard-a", "segment": "a"}, {"name": "shard-b", "segment": "b"}]
    pairs = moved(TP3, inventory(topology({"mongo.shards": shards})))
    assert [(old.name, old.address, new.address) for old, new in pairs][:2] == [
        ("shard-a-1", "127.77.1.1", "127.77.2.1"),
        ("shard-a-2", "127.77.1.2", "127.77.2.2"),
    ]
    assert len(pairs) == 6


def test_an_unknown_node_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidInputError) as caught:
        TP3.named("pgsync")
    assert caught.value.message == 'there is no node "pgsync" (did you mean "pgsync1"?)'
    assert "shard-a-1" in caught.value.hint


def test_names() -> None:
    assert fleet_names("router", 2) == ("router-1", "router-2")
    assert fleet_names("redis", 0) == ()
    assert member_names("a", ReplicaSet(members=2, arbiter=True)) == ("a-1", "a-2", "a-arbiter")


def test_routers_and_proxies_that_are_gone_are_found_by_name() -> None:
    wanted = inventory(topology())
    names = [
        *("router-1", "router-3", "haproxy-2", "haproxy-10", "shard-a-9", "config-4", "etcd-7"),
        *("redis-2", "router", "router-x", "router--1", "web-1", "gateway-3", "pg1-pgbouncer"),
    ]
    gone = retired(names, wanted)
    assert [(node.name, node.kind) for node in gone] == [
        ("haproxy-10", Kind.HAPROXY),
        ("router-3", Kind.ROUTER),
    ]
