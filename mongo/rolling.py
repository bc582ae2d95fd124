"""MongoDB's parts of a rolling restart: the replica sets, the archiver, the routers."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Observer
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from cluster.restarting import restart_server
from cluster.rolling import Group, HandOver, Move
from cluster.status import Health
from mongo import members, nodes, servers, spare, upkeep
from mongo.backup import archive
from mongo.client import node_client
from mongo.credentials import MONITOR, login
from mongo.nodes import SetNodes, host
from mongo.observer import SetObserver

ROUTER_SECONDS = 60.0
ARCHIVER_SECONDS = 120.0


def set_groups(context: Context) -> tuple[Group, ...]:
    """The config servers, then the shards."""
    return tuple(SetGroup(context, one) for one in nodes.replica_sets(context))


def router_groups(context: Context) -> tuple[Group, ...]:
    """The routers."""
    return (RouterGroup(context),)


def archiver_groups(context: Context) -> tuple[Group, ...]:
    """What follows the oplogs; none without backups."""
    return (ArchiverGroup(context),) if nodes.archivers(context) else ()


@dataclass(frozen=True)
class SetGroup:
    """A replica set."""

    context: Context
    replica_set: SetNodes

    @property
    def name(self) -> str:
        """Its name."""
        return self.replica_set.name

    @property
    def members(self) -> Sequence[str]:
        """Its nodes."""
        return tuple(node.name for node in self.replica_set.nodes)

    def leader(self) -> str:
        """The primary."""
        answers = members.observe(self.context, self.replica_set)
        return upkeep.leader(self.context, self.replica_set, answers)

    def why_not(self, move: Move) -> str:
        """No majority would be left, or nobody to take over."""
        answers, names = members.observe(self.context, self.replica_set), nodes.names(self.context)
        if isinstance(move, HandOver):
            return spare.cannot_hand_over(answers, names)
        return spare.cannot_be_without(answers, host(self._node(move)), names)

    def make(self, move: Move) -> None:
        """Restart a secondary, or step the primary down."""
        if isinstance(move, HandOver):
            upkeep.hand_over(self.context, self.replica_set)
            return
        restart_server(
            self.context, servers.member(self.context, self.replica_set, self._node(move))
        )
        upkeep.await_whole(self.context, self.replica_set)

    def observer(self) -> Observer:
        """Watches its primary."""
        return SetObserver(self.context, self.replica_set)

    def _node(self, move: Move) -> Node:
        return self.context.inventory.named(move.member)


@dataclass(frozen=True)
class RouterGroup:
    """The routers: a client that loses one goes to another."""

    context: Context

    @property
    def name(self) -> str:
        """As shown."""
        return "routers"

    @property
    def members(self) -> Sequence[str]:
        """Their nodes."""
        return tuple(node.name for node in nodes.routers(self.context))

    def leader(self) -> str:
        """None leads."""
        return ""

    def why_not(self, move: Move) -> str:
        """No other router answers."""
        others = [node for node in nodes.routers(self.context) if node.name != move.member]
        if any(self._serves(node) for node in others):
            return ""
        return f"clients cannot be without {move.member}: no other router serves"

    def make(self, move: Move) -> None:
        """Restart it."""
        node = self.context.inventory.named(move.member)
        restart_server(self.context, servers.router(self.context, node))
        wait_for(
            f"{node.name}'s answer",
            lambda: self._serves(node),
            seconds=ROUTER_SECONDS,
            clock=self.context.clock,
        )

    def observer(self) -> Observer | None:
        """None leads."""
        return None

    def _serves(self, node: Node) -> bool:
        try:
            with node_client(node, login(self.context, MONITOR)) as client:
                return bool(client.admin.command("listShards")["shards"])
        except OpsError:
            return False


@dataclass(frozen=True)
class ArchiverGroup:
    """The archiver: no client feels that it is away, and it goes on where it was."""

    context: Context

    @property
    def name(self) -> str:
        """As shown."""
        return "archiver"

    @property
    def members(self) -> Sequence[str]:
        """Its node."""
        return tuple(node.name for node in nodes.archivers(self.context))

    def leader(self) -> str:
        """None leads."""
        return ""

    def why_not(self, _move: Move) -> str:
        """It must be level: what it has yet to read must not fall out of the oplog meanwhile."""
        return self._trouble()

    def make(self, move: Move) -> None:
        """Restart it, and wait until it is level."""
        restart_server(
            self.context,
            servers.archiver(self.context, self.context.inventory.named(move.member)),
        )

        def level() -> bool:
            if trouble := self._trouble():
                raise UnreachableError(trouble)
            return True

        clock = self.context.clock
        wait_for("the oplog archive", level, seconds=ARCHIVER_SECONDS, every=0.2, clock=clock)

    def observer(self) -> Observer | None:
        """None leads."""
        return None

    def _trouble(self) -> str:
        unwell = [one for one in archive.status(self.context) if one.health is not Health.OK]
        return f"{unwell[0].node.name}: {unwell[0].detail}" if unwell else ""
