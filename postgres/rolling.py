"""PostgreSQL's parts of a rolling restart: etcd, the scopes with their pools, the proxies."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Observer
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.restarting import restart_server
from cluster.rolling import Group, HandOver, Move
from postgres import etcd, haproxy, names, patroni, servers, switchover
from postgres.observer import ScopeObserver
from postgres.scopes import Scope, dr_scope, scopes

ETCD_SECONDS = 60.0
PROXY_SECONDS = 60.0


def scope_groups(context: Context) -> tuple[Group, ...]:
    """The DR scope first: nobody writes to it."""
    dr = dr_scope(context)
    return tuple(
        ScopeGroup(context, scope, follows=scope == dr) for scope in reversed(scopes(context))
    )


def etcd_groups(context: Context) -> tuple[Group, ...]:
    """The etcd of each scope, the DR scope's first."""
    dr = dr_scope(context)
    return tuple(
        EtcdGroup(context, scope, follows=scope == dr) for scope in reversed(scopes(context))
    )


def proxy_groups(context: Context) -> tuple[Group, ...]:
    """The HAProxies."""
    return (ProxyGroup(context),) if context.inventory.of(Kind.HAPROXY) else ()


@dataclass(frozen=True)
class ScopeGroup:
    """A scope's members, each with its Patroni, PostgreSQL and pool. `follows`: it is the DR's."""

    context: Context
    scope: Scope
    follows: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.scope.name

    @property
    def members(self) -> Sequence[str]:
        """Its nodes."""
        return tuple(node.name for node in self.scope.members)

    def leader(self) -> str:
        """The primary; in the DR region nobody need hand over."""
        return "" if self.follows else patroni.leader_of(self.scope).name

    def why_not(self, move: Move) -> str:
        """Nobody could take over, or a standby is away already."""
        leader = patroni.leader_of(self.scope)
        states, live = patroni.states(self.scope.members), patroni.config(leader)
        if isinstance(move, HandOver):
            return switchover.cannot_switch_over(self.scope, states, live, leader.name)
        return switchover.lacking(self.scope, states, live, leader.name)

    def make(self, move: Move) -> None:
        """Restart a standby and its pool, or switch over."""
        if isinstance(move, HandOver):
            switchover.switch_over(self.context)
            return
        node = self.context.inventory.named(move.member)
        # The pool first: without its PostgreSQL it would end its clients' waiting with errors.
        restart_server(self.context, servers.pgbouncer(self.context, self.scope, node))
        restart_server(self.context, servers.patroni(self.context, self.scope, node), self._wake)
        switchover.await_whole(self.context, self.scope)

    def observer(self) -> Observer | None:
        """Watches who takes the writes."""
        return None if self.follows else ScopeObserver(self.context, self.scope)

    def _wake(self) -> None:
        """Commits wait for a standby that is gone until its primary's Patroni has looked again."""
        with suppress(UnreachableError):
            leader = patroni.leader_of(self.scope)
            patroni.wake(leader, names.password(self.context, names.REST_USER))


@dataclass(frozen=True)
class EtcdGroup:
    """The members that elect a scope's leader."""

    context: Context
    scope: Scope
    follows: bool

    @property
    def name(self) -> str:
        """As shown."""
        return f"etcd of {self.scope.name}"

    @property
    def members(self) -> Sequence[str]:
        """Its nodes; whoever leads them hands over by itself as it stops."""
        return tuple(node.name for node in self.scope.etcd)

    def leader(self) -> str:
        """Nobody need be asked to hand over."""
        return ""

    def why_not(self, move: Move) -> str:
        """The others would have no quorum.

        The DR region's may be one: for as long as a restart takes its Patroni has patience
        (`retry_timeout`), and nobody writes there.
        """
        well = {node.name for node in self.scope.etcd if _has_leader(node)}
        left, total = well - {move.member}, len(self.scope.etcd)
        if self.follows or len(left) * 2 > total:
            return ""
        return f"{self.name} cannot be without {move.member}: {len(left)} of {total} would be left"

    def make(self, move: Move) -> None:
        """Restart it."""
        node = self.context.inventory.named(move.member)
        restart_server(self.context, servers.etcd(self.context, self.scope, node))
        wait_for(
            f"{node.name}'s answer",
            lambda: _has_leader(node),
            seconds=ETCD_SECONDS,
            clock=self.context.clock,
        )

    def observer(self) -> Observer | None:
        """Its lead is nothing that a client feels."""
        return None


@dataclass(frozen=True)
class ProxyGroup:
    """The HAProxies: a client that loses one goes to another."""

    context: Context

    @property
    def name(self) -> str:
        """As shown."""
        return "proxies"

    @property
    def members(self) -> Sequence[str]:
        """Their nodes."""
        return tuple(node.name for node in self._nodes)

    def leader(self) -> str:
        """None leads."""
        return ""

    def why_not(self, move: Move) -> str:
        """No other proxy leads anywhere."""
        if any(self._routes(node) for node in self._nodes if node.name != move.member):
            return ""
        return f"clients cannot be without {move.member}: no other proxy leads to the primary"

    def make(self, move: Move) -> None:
        """Restart it, and wait until it leads to the primary."""
        node = self.context.inventory.named(move.member)
        restart_server(self.context, servers.haproxy(self.context, node))
        wait_for(
            f"{node.name}'s routes",
            lambda: self._routes(node),
            seconds=PROXY_SECONDS,
            clock=self.context.clock,
        )

    def observer(self) -> Observer | None:
        """None leads."""
        return None

    @property
    def _nodes(self) -> tuple[Node, ...]:
        return self.context.inventory.of(Kind.HAPROXY)

    def _routes(self, node: Node) -> bool:
        try:
            found = haproxy.routes(node, names.password(self.context, names.STATS_USER))
        except UnreachableError:
            return False
        return all(found.to(listener) for listener in ("pooled", "direct"))


def _has_leader(node: Node) -> bool:
    try:
        return etcd.member_health(node).has_leader
    except UnreachableError:
        return False
