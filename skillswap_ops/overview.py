"""The whole cluster at a glance: every engine's status, with memory, by engine and zone."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from cluster.context import Context
from cluster.inventory import Kind, Node
from cluster.local.target import LocalTarget
from cluster.status import Health, NodeStatus
from skillswap_ops.engines import all_servers, status_readers

ENGINES = {
    Kind.SHARD: "MongoDB",
    Kind.ARBITER: "MongoDB",
    Kind.CONFIG: "MongoDB",
    Kind.ROUTER: "MongoDB",
    Kind.ARCHIVER: "MongoDB",
    Kind.POSTGRES: "PostgreSQL",
    Kind.ETCD: "PostgreSQL",
    Kind.HAPROXY: "PostgreSQL",
    Kind.REDIS: "Redis",
    Kind.OBJECTS: "Object store",
    Kind.WEB: "Services",
    Kind.SERVICE: "Services",
    Kind.MONITORING: "Monitoring",
}


@dataclass(frozen=True)
class Row:
    """A node's status with what it takes of this machine's memory, in bytes."""

    engine: str
    status: NodeStatus
    memory_bytes: int

    @property
    def node(self) -> Node:
        """The node."""
        return self.status.node


@dataclass(frozen=True)
class Overview:
    """All nodes in order of engine, region, zone; memory of everything, supervision included."""

    cluster: str
    rows: tuple[Row, ...]
    memory_bytes: int

    @property
    def healthy(self) -> bool:
        """Whether every node is."""
        return all(row.status.health is Health.OK for row in self.rows)


def overview(context: Context) -> Overview:
    """Ask every engine at once; a dead node costs no more than its deadline."""
    readers: list[Callable[[Context], tuple[NodeStatus, ...]]] = list(status_readers())
    with ThreadPoolExecutor(len(readers) + 1) as pool:
        memory = pool.submit(_memory, context)
        answers = [pool.submit(reader, context) for reader in readers]
        statuses = [status for answer in answers for status in answer.result()]
    by_node = _memory_by_node(context, memory.result())
    rows = [
        Row(ENGINES[status.node.kind], status, by_node.get(status.node.name, 0))
        for status in statuses
    ]
    order = list(dict.fromkeys(ENGINES.values()))
    regions = [region.name for region in context.topology.regions]
    rows.sort(
        key=lambda row: (order.index(row.engine), regions.index(row.node.region), row.node.zone)
    )
    return Overview(context.topology.name, tuple(rows), sum(memory.result().values()))


def by_zone(rows: tuple[Row, ...]) -> list[tuple[str, list[tuple[str, list[Row]]]]]:
    """Rows grouped by engine, then by zone."""
    return [
        (
            engine,
            [(zone, list(group)) for zone, group in groupby(of, key=lambda row: row.node.zone)],
        )
        for engine, of in groupby(rows, key=lambda row: row.engine)
    ]


def _memory(context: Context) -> Mapping[str, int]:
    """What servers take of this machine's memory, where they do."""
    return context.target.memory() if isinstance(context.target, LocalTarget) else {}


def _memory_by_node(context: Context, by_server: Mapping[str, int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for server in all_servers(context):
        sums[server.node.name] = sums.get(server.node.name, 0) + by_server.get(server.name, 0)
    return sums
