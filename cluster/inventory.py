"""Which nodes a topology has: their names, zones and addresses, in one place.

Addresses follow from a node's kind and index alone, so adding a node at the end moves no other:
`<network>.<block>.<index>`, one address a node, the engines' standard ports.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle, islice

from cluster.errors import InvalidInputError
from cluster.problems import suggestion
from cluster.topology import Dr, PostgresRole, Region, ReplicaSet, Topology


class Kind(StrEnum):
    """What a node is for."""

    SHARD = "shard"
    ARBITER = "arbiter"
    CONFIG = "config server"
    ROUTER = "router"
    ARCHIVER = "oplog archiver"
    ETCD = "etcd"
    POSTGRES = "postgres"
    HAPROXY = "haproxy"
    REDIS = "redis"
    OBJECTS = "object store"
    WEB = "service proxy"  # these two are deployed, and so in no topology: manifests/services
    SERVICE = "service instance"
    MONITORING = "monitoring"  # as are these, once `monitor up` was called


# Third octet by kind; shards take 1..40 (one each), so that a set's members stand together.
BLOCKS: Mapping[Kind, int] = {
    Kind.CONFIG: 50,
    Kind.ROUTER: 51,
    Kind.ARCHIVER: 52,
    Kind.POSTGRES: 60,
    Kind.ETCD: 61,
    Kind.HAPROXY: 62,
    Kind.REDIS: 70,
    Kind.OBJECTS: 71,
    Kind.MONITORING: 78,
    Kind.WEB: 79,
    Kind.SERVICE: 80,  # and up: one block a service
}
DR_BLOCKS: Mapping[Kind, int] = {Kind.POSTGRES: 160, Kind.ETCD: 161}
MAX_SHARDS = 40
FLEETS = {"router": Kind.ROUTER, "haproxy": Kind.HAPROXY}  # that hold no data, by their group
ARBITER_INDEX = 100  # out of the way of members that are added later
CONFIG_SET = "config"


@dataclass(frozen=True)
class Node:
    """A machine of the topology. `group` is its replica set, Patroni scope or fleet.

    `address` is what others reach it by; `listen`, where that is another one, what it binds.
    `trust` is the file by which its clients verify it; empty: its servers speak in the clear.
    """

    name: str
    kind: Kind
    group: str
    region: str
    zone: str
    address: str
    role: PostgresRole | None = None
    listen: str = ""
    trust: str = ""

    @property
    def bind(self) -> str:
        """The address that its servers listen on."""
        return self.listen or self.address

    def bind_at(self, port: int) -> str:
        """`address:port` to listen on."""
        return f"{self.bind}:{port}"

    def at(self, port: int) -> str:
        """`address:port`."""
        return f"{self.address}:{port}"


@dataclass(frozen=True)
class Inventory:
    """All nodes, in the order in which they are shown.

    `networks` is where connections to them come from. On one machine that is any loopback address:
    an unbound client of 127.77.1.1 has the source address 127.0.0.1.
    """

    nodes: tuple[Node, ...]
    networks: tuple[str, ...] = ("127.0.0.0/8",)

    def of(self, *kinds: Kind, group: str | None = None) -> tuple[Node, ...]:
        """The nodes of these kinds, of one group where it is given."""
        return tuple(
            node
            for node in self.nodes
            if node.kind in kinds and (group is None or node.group == group)
        )

    def named(self, name: str) -> Node:
        """The node of that name. Raises InvalidInputError that names the nearest one."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = [node.name for node in self.nodes]
        raise InvalidInputError(
            f'there is no node "{name}"{suggestion(name, names)}', f"nodes: {', '.join(names)}"
        )


def inventory(topology: Topology, trust: str = "") -> Inventory:
    """The nodes of a validated topology, whose clients verify them by the file `trust`."""
    edge, redis = topology.edge.haproxies, topology.redis.members
    nodes = (
        *_mongo_nodes(topology),
        *_postgres_nodes(topology),
        *_fleet(topology, Kind.HAPROXY, "haproxy", edge, topology.postgres.region),
        *_fleet(topology, Kind.REDIS, "redis", redis, None),
        *_fleet(topology, Kind.OBJECTS, "objects", topology.objects.members, None),
    )
    return Inventory(tuple(replace(node, trust=trust) for node in nodes))


def moved(before: Inventory, after: Inventory) -> tuple[tuple[Node, Node], ...]:
    """The nodes that stay and would change their address: their data and peers do not follow.

    A shard or a member that is put before others moves them; new ones belong at the end.
    """
    now = {node.name: node for node in after.nodes}
    pairs = ((node, now[node.name]) for node in before.nodes if node.name in now)
    return tuple((old, new) for old, new in pairs if old.address != new.address)


def retired(names: Iterable[str], wanted: Inventory) -> tuple[Node, ...]:
    """Routers and proxies among these names that the inventory no longer has, in order.

    They hold no data, and the others of their fleet stand in for them: they may simply go. Of
    their nodes the name is known, and no place.
    """
    kept = {node.name for node in wanted.nodes}
    found = []
    for name in sorted(set(names) - kept):
        group, _, number = name.rpartition("-")
        if group in FLEETS and number.isdecimal():
            found.append(Node(name, FLEETS[group], group, region="", zone="", address=""))
    return tuple(found)


def member_names(group: str, members: ReplicaSet) -> tuple[str, ...]:
    """The names of a replica set's members, the arbiter last."""
    arbiter = (f"{group}-arbiter",) if members.arbiter else ()
    return (*fleet_names(group, members.members), *arbiter)


def fleet_names(group: str, count: int) -> tuple[str, ...]:
    """The names of a group of numbered nodes."""
    return tuple(f"{group}-{index}" for index in range(1, count + 1))


def _mongo_nodes(topology: Topology) -> Iterable[Node]:
    mongo = topology.mongo
    region = topology.region(mongo.region)
    for number, shard in enumerate(mongo.shards, start=1):
        yield from _set_nodes(topology, region, shard, Kind.SHARD, shard.name, number)
    yield from _set_nodes(
        topology, region, mongo.config_servers, Kind.CONFIG, CONFIG_SET, BLOCKS[Kind.CONFIG]
    )
    yield from _fleet(topology, Kind.ROUTER, "router", mongo.routers, mongo.region)
    yield from _fleet(topology, Kind.ARCHIVER, "archiver", int(mongo.backup.enabled), mongo.region)


def _set_nodes(
    topology: Topology, region: Region, members: ReplicaSet, kind: Kind, group: str, block: int
) -> Iterable[Node]:
    names = member_names(group, members)
    zones = members.zones or islice(cycle(region.zones), len(names))
    for index, (name, zone) in enumerate(zip(names, zones, strict=True), start=1):
        arbiter = index > members.members
        yield Node(
            name=name,
            kind=Kind.ARBITER if arbiter else kind,
            group=group,
            region=region.name,
            zone=zone,
            address=address(topology, block, ARBITER_INDEX if arbiter else index),
        )


def _postgres_nodes(topology: Topology) -> Iterable[Node]:
    postgres = topology.postgres
    region = topology.region(postgres.region).name
    for index, member in enumerate(postgres.members, start=1):
        yield Node(
            member.name,
            Kind.POSTGRES,
            postgres.scope,
            region,
            member.zone,
            address(topology, BLOCKS[Kind.POSTGRES], index),
            member.role,
        )
    yield from _fleet(topology, Kind.ETCD, "etcd", postgres.etcd, postgres.region)
    if postgres.dr:
        yield from _dr_nodes(topology, postgres.dr)


def _dr_nodes(topology: Topology, dr: Dr) -> Iterable[Node]:
    for index, member in enumerate(dr.members, start=1):
        yield Node(
            member.name,
            Kind.POSTGRES,
            dr.scope,
            dr.region,
            member.zone,
            address(topology, DR_BLOCKS[Kind.POSTGRES], index),
            PostgresRole.ASYNCHRONOUS,
        )
    yield from _fleet(topology, Kind.ETCD, "etcd-dr", dr.etcd, dr.region, DR_BLOCKS[Kind.ETCD])


def _fleet(
    topology: Topology,
    kind: Kind,
    group: str,
    count: int,
    region: str | None,
    block: int | None = None,
) -> Iterable[Node]:
    """Interchangeable nodes, spread over the region's zones."""
    place = topology.region(region)
    for index, (name, zone) in enumerate(
        zip(fleet_names(group, count), cycle(place.zones), strict=False), start=1
    ):
        at = address(topology, block or BLOCKS[kind], index)
        yield Node(name, kind, group, place.name, zone, at)


def address(topology: Topology, block: int, index: int) -> str:
    """The address of node `index` (from 1) in a block of the local network."""
    return str(topology.local.network[block * 256 + index])
