"""The nodes of a topology as pods: their names, and the names by which others reach them."""

from collections.abc import Iterator
from dataclasses import replace

from cluster.context import trust
from cluster.inventory import Inventory, Kind, Node, inventory
from cluster.topology import Topology
from manifests.kubernetes import names
from manifests.kubernetes.programs import LAYOUT

# What there is no pod of: etcd, because Kubernetes keeps Patroni's leader, and what stands in for a
# cloud's services on one machine.
PODS = frozenset(
    {
        Kind.SHARD,
        Kind.ARBITER,
        Kind.CONFIG,
        Kind.ROUTER,
        Kind.ARCHIVER,
        Kind.POSTGRES,
        Kind.HAPROXY,
        Kind.REDIS,
    }
)
ANYWHERE = "0.0.0.0"  # noqa: S104 - a pod's own addresses; network policies say who gets there


def pod_inventory(topology: Topology, *, from_dr: bool = False) -> Inventory:
    """The nodes of a validated topology that are pods.

    Routers and HAProxies are one node each, a Service that any number of pods answer for. With TLS
    clients verify them by the file that is mounted in every pod.
    `from_dr`: as a DR cluster of its own sees them, which reaches the proxies by another name.
    """
    return Inventory(tuple(_pods(topology, from_dr=from_dr)), topology.kubernetes.pod_networks)


def _pods(topology: Topology, *, from_dr: bool) -> Iterator[Node]:
    fleets: set[str] = set()
    for node in inventory(topology, trust(topology, LAYOUT)).nodes:
        if node.kind not in PODS:
            continue
        pod = _pod(topology, node)
        if pod.kind is Kind.HAPROXY and from_dr and topology.kubernetes.dr_cluster:
            pod = replace(pod, address=topology.kubernetes.dr_cluster.primary_host)
        if pod.name not in fleets:
            fleets.add(pod.name)
            yield replace(pod, listen=ANYWHERE)


def _pod(topology: Topology, node: Node) -> Node:
    match node.kind:
        case Kind.SHARD | Kind.CONFIG | Kind.ARCHIVER | Kind.REDIS:
            return _member(topology, node, node.name)
        case Kind.ARBITER:
            return _member(topology, node, pod_name(node.name))
        case Kind.POSTGRES:
            name = pod_name(node.name)
            return replace(node, name=name, address=names.dns(topology, name))
        case Kind.ROUTER:
            return _fleet(topology, node, names.ROUTERS_NAME)
        case Kind.HAPROXY:
            return _fleet(topology, node, names.HAPROXY_NAME)
    raise ValueError(f"{node.kind} is no pod")


def pod_name(stateful_set: str) -> str:
    """The only pod of a stateful set of one."""
    return f"{stateful_set}-0"


def stateful_set_name(node: Node) -> str:
    """The stateful set of a pod that has one of its own."""
    return node.name.removesuffix("-0")


def _member(topology: Topology, node: Node, name: str) -> Node:
    return replace(node, name=name, address=names.dns(topology, f"{name}.{node.group}"))


def _fleet(topology: Topology, node: Node, name: str) -> Node:
    return replace(node, name=name, group=name, zone="", address=names.dns(topology, name))
