"""The Patroni scopes of a topology: the primary cluster, and the DR cluster that follows it.

Which is which is the topology's word, unless the DR region was promoted: `postgres.regions`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from cluster.context import Context
from cluster.errors import RefusedError
from cluster.inventory import Inventory, Kind, Node
from cluster.layout import Layout
from cluster.topology import PostgresRole
from postgres import regions
from postgres.regions import Stage

DR_ETCD_GROUP = "etcd-dr"
ETCD_GROUP = "etcd"
# In PGDATA once its creation is finished; it travels with every copy of the data.
FOUNDED = "skillswap-ops.founded"


@dataclass(frozen=True)
class Scope:
    """A Patroni cluster. `follows` is the scope that it is a standby of.

    `away`: it is the DR region's, whichever leads now.
    """

    name: str
    members: tuple[Node, ...]
    etcd: tuple[Node, ...]
    follows: str | None = None
    away: bool = False

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
    leads_away = regions.load(context.layout).stage.away_leads
    return away_scope(context, None) if leads_away else home_scope(context, None)


def dr_scope(context: Context) -> Scope | None:
    """The scope that follows it from another region; None where there is none, or it is fenced."""
    postgres, stage = context.topology.postgres, regions.load(context.layout).stage
    if postgres.dr is None or stage in {Stage.PROMOTING, Stage.AWAY, Stage.HANDOVER}:
        return None
    if stage is Stage.RETURNING:
        return home_scope(context, postgres.dr.scope)
    return away_scope(context, postgres.scope)


def fenced_scope(context: Context) -> Scope | None:
    """The scope of which nothing may run, since the other region took over."""
    stage = regions.load(context.layout).stage
    if stage in {Stage.PROMOTING, Stage.AWAY}:
        return home_scope(context, None)
    return away_scope(context, None) if stage is Stage.HANDOVER else None


def home_scope(context: Context, follows: str | None) -> Scope:
    """The scope of the topology's primary region, in the part that is given."""
    return _scope(context.inventory, context.topology.postgres.scope, ETCD_GROUP, follows)


def away_scope(context: Context, follows: str | None) -> Scope:
    """The scope of the DR region, in the part that is given. Raises RefusedError without one."""
    dr = context.topology.postgres.dr
    if dr is None:
        raise RefusedError("the topology has no DR region", "`postgres.dr` would make one")
    return replace(_scope(context.inventory, dr.scope, DR_ETCD_GROUP, follows), away=True)


def scopes(context: Context) -> tuple[Scope, ...]:
    """All Patroni scopes that run."""
    dr = dr_scope(context)
    return (primary_scope(context), *([dr] if dr else []))


def slot_name(scope: Scope) -> str:
    """The physical slot, on the scope that it follows, that keeps WAL for a standby scope."""
    return scope.name.replace("-", "_")


def data_folder(layout: Layout, node: Node) -> Path:
    """PGDATA: below the node's data folder, because Patroni removes and renames it."""
    return layout.data(node) / "pgdata"


def _scope(inventory: Inventory, name: str, etcd: str, follows: str | None) -> Scope:
    members = inventory.of(Kind.POSTGRES, group=name)
    return Scope(name, members, inventory.of(Kind.ETCD, group=etcd), follows)
