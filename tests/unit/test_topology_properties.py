"""Any valid topology keeps its promises; any text at all is either taken or refused politely."""

import json
import os
import string
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import InvalidInputError
from cluster.inventory import Inventory, Kind, inventory, moved
from cluster.problems import Path
from cluster.rules.names import _nodes
from cluster.topology import Topology
from cluster.topology_file import SHIPPED, dump_topology, parse_topology
from cluster.topology_rules import lint_topology

TEXT = SHIPPED.read_text("utf-8")
EFFORT = int(os.environ.get("SKILLSWAP_OPS_FUZZ", "1"))  # times as many examples
DECIMALS = st.integers(-(10**6), 10**6).map(lambda number: number / 1000)
ZONES = ("west-a", "west-b", "west-c", "west-d")


def examples(count: int) -> settings:
    """The same examples on every run; more of them, and others, for a larger EFFORT."""
    return settings(max_examples=count * EFFORT, deadline=None, derandomize=EFFORT == 1)


@st.composite
def replica_sets(draw: st.DrawFn, *, arbiter: bool) -> dict[str, Any]:
    with_arbiter = arbiter and draw(st.booleans())
    members = draw(st.sampled_from((2, 4, 6) if with_arbiter else (1, 3, 5, 7)))
    found: dict[str, Any] = {"members": members, "arbiter": with_arbiter}
    if draw(st.booleans()):
        total = members + with_arbiter
        found["zones"] = draw(st.lists(st.sampled_from(ZONES), min_size=total, max_size=total))
    return found


@st.composite
def postgres(draw: st.DrawFn) -> dict[str, Any]:
    more = draw(st.lists(st.sampled_from(["synchronous", "asynchronous"]), max_size=4))
    free = st.sampled_from(ZONES[1:])
    members = [
        {"name": f"pg{i}", "role": role, "zone": ZONES[0] if i == 0 else draw(free)}
        for i, role in enumerate(["primary", "synchronous", *more])
    ]
    found: dict[str, Any] = {"members": members, "etcd": draw(st.sampled_from((1, 3, 5, 7)))}
    found["parameters"] = draw(
        st.dictionaries(
            st.from_regex(r"\Ax[a-z0-9_]{0,8}\Z"),
            st.booleans() | st.integers(-(10**9), 10**9) | DECIMALS | words,
            max_size=3,
        )
    )
    if draw(st.booleans()):
        count = draw(st.integers(1, 4))
        standbys = [{"name": f"pgdr{i}", "zone": "south-a"} for i in range(count)]
        found["dr"] = {
            "region": "south",
            "members": standbys,
            "etcd": draw(st.sampled_from((1, 3))),
        }
    return found


words = st.text(st.characters(exclude_categories=("C", "Z")), max_size=12)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    count = draw(st.integers(1, 6))
    shards = [
        draw(replica_sets(arbiter=True)) | {"name": f"s{i}", "segment": f"segment_{i}"}
        for i in range(count)
    ]
    data = {
        "regions": [{"name": "west", "zones": ZONES}, {"name": "south", "zones": ["south-a"]}],
        "mongo": {
            "shards": shards,
            "config_servers": draw(replica_sets(arbiter=False)),
            "routers": draw(st.integers(1, 16)),
        },
        "postgres": draw(postgres()),
        "edge": {"haproxies": draw(st.integers(1, 16))},
        "redis": {"members": draw(st.integers(0, 1))},
        "local": {"network": f"127.{draw(st.integers(1, 255))}.0.0/16"},
    }
    return parse_topology(json.dumps(data), "generated")


@given(topologies())
@examples(75)
def test_names_and_addresses_are_unique_and_in_the_network(topology: Topology) -> None:
    nodes = inventory(topology).nodes
    assert len({node.name for node in nodes}) == len(nodes)
    assert len({node.address for node in nodes}) == len(nodes)
    assert all(IPv4Address(node.address) in topology.local.network for node in nodes)
    assert all(node.address.rsplit(".", 1)[1] not in {"0", "255"} for node in nodes)
    for node in nodes:
        assert node.zone in topology.region(node.region).zones
    lint_topology(topology)


@given(topologies())
@examples(50)
def test_what_is_written_is_read_as_it_was(topology: Topology) -> None:
    assert parse_topology(dump_topology(topology), "dumped") == topology


@given(topologies())
@examples(25)
def test_the_rules_know_the_names_that_the_inventory_gives(topology: Topology) -> None:
    given_by: list[tuple[Path, str]] = [*_nodes(topology)]
    names = {name for _, name in given_by if not name.endswith("-pgbouncer")}
    assert names == {node.name for node in inventory(topology).nodes}


@given(topologies(), topologies())
@examples(50)
def test_more_of_a_kind_moves_nobody(one: Topology, other: Topology) -> None:
    """Two topologies of one network differ in how many there are of each kind, never in order."""
    network = one.local.network
    other = other.model_copy(update={"local": other.local.model_copy(update={"network": network})})
    assert moved(inventory(one), inventory(other)) == ()


def without_shard(topology: Topology, index: int) -> Inventory:
    shards = topology.mongo.shards
    fewer = topology.mongo.model_copy(update={"shards": shards[:index] + shards[index + 1 :]})
    return inventory(topology.model_copy(update={"mongo": fewer}))


@given(topologies(), st.data())
@examples(25)
def test_a_shard_taken_out_moves_exactly_the_shards_behind_it(
    topology: Topology, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(topology.mongo.shards) - 1))
    pairs = moved(inventory(topology), without_shard(topology, index))
    behind = {shard.name for shard in topology.mongo.shards[index + 1 :]}
    assert {old.group for old, _ in pairs} == behind
    assert all(old.kind in {Kind.SHARD, Kind.ARBITER} for old, _ in pairs)


def read(text: str) -> None:
    """Only a clear refusal may come of it."""
    with suppress(InvalidInputError):
        parse_topology(text, "fuzzed")


@given(st.text(max_size=300))
@examples(150)
def test_any_text_is_refused_politely(text: str) -> None:
    read(text)


@given(st.text(string.printable[:95] + "\n-:{}[]&*!|>'\"%@`\t", max_size=200))
@examples(150)
def test_anything_like_yaml_is_refused_politely(text: str) -> None:
    read(text)


SPLICES = st.sampled_from(
    ["&a ", "*a", "!!int ", "!x ", "<<: ", "- ", "? ", "{", "}", "[", "]", ": ", "|\n", '"', "'"]
) | st.sampled_from(
    ["\n", "  ", "#", "yes", "0x1", "1e9", ".inf", "~", "---\n", "\x00", "\ud800", "é", "%YAML 1.1"]
)


@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 30), SPLICES), max_size=4))
@examples(150)
def test_a_damaged_topology_is_refused_politely(damage: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for at, cut, splice in damage:
        text = text[:at] + splice + text[at + cut :]
    read(text)


PATHS = [
    *(("mongo", field) for field in ("region", "shards", "config_servers", "routers", "timings")),
    *(("postgres", field) for field in ("region", "members", "dr", "timings", "parameters")),
    *((field,) for field in ("regions", "sla", "mongo", "postgres", "edge", "archive", "local")),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70_000) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(PATHS), VALUES)
@examples(150)
def test_any_value_in_any_field_is_refused_politely(path: tuple[str, ...], value: object) -> None:
    data = json.loads(json.dumps(parse_topology(TEXT, "shipped").model_dump(mode="json")))
    place = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    read(json.dumps(data))
