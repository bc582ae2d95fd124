"""The Patroni scopes of a topology: the primary cluster, and the DR cluster that follows it."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from cluster.context import Context
from cluster.inventory import Inventory, Kind, Node
from cluster.layout import Layout
from cluster.topology import PostgresRole, Topology

DR_ETCD_GROUP = "etcd-dr"
ETCD_GROUP = "etcd"
# In PGDATA once its creation is finished; it travels with every copy of the data.
FOUNDED = "skillswap-ops.founded"


@dataclass(frozen=True)
class Scope:
    """A Patroni cluster. `follows` is the scope that it is a standby of."""

    name: str
    members: tuple[Node, ...]
    etcd: tuple[Node, ...]
    follows: str | None = None

    @property
    def component(self) -> str:
        """What its progress is shown under."""
        return f"PostgreSQL {self.name}"

    @property
    def founder(self) -> Node:
        """The only member that may create the cluster, so that never two are created."""
        primaries = [node for node in self.members if node.role is PostgresRole.PRIMARY]
        return (primaries or list(self.members))[0]

    @property
    def synchronous(self) -> tuple[Node, ...]:
        """The members that may be the synchronous standby at rest."""
        return tuple(node for node in self.members if node.role is PostgresRole.SYNCHRONOUS)


def primary_scope(context: Context) -> Scope:
    """The scope that takes the writes."""
    name = context.topology.postgres.scope
    return _scope(context.inventory, name, ETCD_GROUP, None)


def dr_scope(context: Context) -> Scope | None:
    """The scope of the DR region, where the topology has one."""
    postgres = context.topology.postgres
    if postgres.dr is None:
        return None
    return _scope(context.inventory, postgres.dr.scope, DR_ETCD_GROUP, postgres.scope)


def scopes(context: Context) -> tuple[Scope, ...]:
    """All Patroni scopes."""
    dr = dr_scope(context)
    return (primary_scope(context), *([dr] if dr else []))


def slot_name(scope: Scope) -> str:
    """The physical slot, on the scope that it follows, that keeps WAL for a standby scope."""
    return scope.name.replace("-", "_")


def client_networks(topology: Topology) -> tuple[str, ...]:
    """Where connections to the servers come from.

    On one machine that is any loopback address: an unbound client of 127.77.1.1 has the source
    address 127.0.0.1.
    """
    network = topology.local.network
    return ("127.0.0.0/8",) if network.is_loopback else (str(IPv4Network(network)),)


def data_folder(layout: Layout, node: Node) -> Path:
    """PGDATA: below the node's data folder, because Patroni removes and renames it."""
    return layout.data(node) / "pgdata"


def _scope(inventory: Inventory, name: str, etcd: str, follows: str | None) -> Scope:
    members = inventory.of(Kind.POSTGRES, group=name)
    return Scope(name, members, inventory.of(Kind.ETCD, group=etcd), follows)
