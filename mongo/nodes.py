"""Where MongoDB's nodes listen, and which of them make a replica set."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.context import Context
from cluster.inventory import CONFIG_SET, Kind, Node

ROUTER_PORT = 27017
SHARD_PORT = 27018
CONFIG_PORT = 27019

PORTS = {
    Kind.ROUTER: ROUTER_PORT,
    Kind.SHARD: SHARD_PORT,
    Kind.ARBITER: SHARD_PORT,
    Kind.CONFIG: CONFIG_PORT,
}

ROUTERS_COMPONENT = "MongoDB routers"
ARCHIVE_COMPONENT = "MongoDB archive"
CLUSTER_COMPONENT = "MongoDB cluster"


def host(node: Node) -> str:
    """`address:port`, the name by which MongoDB's nodes know each other."""
    return node.at(port(node))


def port(node: Node) -> int:
    """The port that the node's server listens on."""
    return PORTS[node.kind]


@dataclass(frozen=True)
class SetNodes:
    """The nodes of one replica set, in the order of the topology."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def holds_config(self) -> bool:
        """Whether these are the config servers."""
        return self.name == CONFIG_SET

    @property
    def component(self) -> str:
        """The name under which progress is shown."""
        return "MongoDB config servers" if self.holds_config else f"MongoDB {self.name}"

    @property
    def step(self) -> str:
        """The step after which the set has a primary and all its members."""
        return f"replica set {self.name}"

    @property
    def data_bearing(self) -> tuple[Node, ...]:
        """The members that hold data."""
        return tuple(node for node in self.nodes if node.kind is not Kind.ARBITER)

    @property
    def seeds(self) -> str:
        """`set/host,host,host`, as addShard and mongos take it."""
        return f"{self.name}/{hosts(self.data_bearing)}"


def names(context: Context) -> dict[str, str]:
    """The nodes' names by their hosts."""
    return {host(node): node.name for node in context.inventory.nodes if is_mongo(node)}


def hosts(nodes: Iterable[Node]) -> str:
    """Comma-separated hosts."""
    return ",".join(map(host, nodes))


def shards(context: Context) -> tuple[SetNodes, ...]:
    """The replica sets of the shards."""
    return tuple(
        SetNodes(shard.name, context.inventory.of(Kind.SHARD, Kind.ARBITER, group=shard.name))
        for shard in context.topology.mongo.shards
    )


def config_servers(context: Context) -> SetNodes:
    """The replica set of the config servers; MongoDB allows it no arbiter."""
    return SetNodes(CONFIG_SET, context.inventory.of(Kind.CONFIG))


def replica_sets(context: Context) -> tuple[SetNodes, ...]:
    """All replica sets, the config servers first."""
    return (config_servers(context), *shards(context))


def routers(context: Context) -> tuple[Node, ...]:
    """The routers' nodes."""
    return context.inventory.of(Kind.ROUTER)


def archivers(context: Context) -> tuple[Node, ...]:
    """The node that archives the oplogs; none without backups."""
    return context.inventory.of(Kind.ARCHIVER)


def is_mongo(node: Node) -> bool:
    """Whether a MongoDB server runs on the node: something that listens."""
    return node.kind in PORTS
