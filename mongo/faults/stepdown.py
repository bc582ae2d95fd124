"""replSetStepDown, as before maintenance; undone by letting the member stand for election again."""

from dataclasses import dataclass
from random import Random

from pymongo.errors import OperationFailure

from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.inventory import Node
from cluster.target import Hit
from mongo.client import node_client
from mongo.credentials import ADMIN, login
from mongo.faults.who import primary_of, servers_of
from mongo.stepdown import step_down

ALLOW_ELECTION = "allow election"
NOT_SECONDARY = 95  # a primary stands for no election: nothing to allow


@dataclass(frozen=True)
class StepDown:
    """Ask this primary to step down."""

    context: Context
    node: Node

    @property
    def name(self) -> str:
        """As shown."""
        return f"replSetStepDown {self.node.name}"

    @property
    def undo(self) -> UndoRecord:
        """Let it stand for election before its time."""
        return UndoRecord(ALLOW_ELECTION, (self.node.name,))

    def inject(self) -> Hit:
        """Step it down, and ask it. Raises OpsError where no secondary could take over."""
        at = step_down(self.context, self.node)
        return Hit(at, f"{self.node.name} stepped down: it says that it is no primary")


def stepdown(context: Context, group: str, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `group` now. Raises InconclusiveError where nobody does."""
    return StepDown(context, context.inventory.named(primary_of(group, seen)))


def allow_election(context: Context) -> Healer:
    """The healer. A member that does not run forgets by itself that it may not stand."""

    def heal(record: UndoRecord) -> None:
        for server in servers_of(context, record.targets):
            if context.target.state(server).running:
                _allow(context, server.node)

    return heal


def _allow(context: Context, node: Node) -> None:
    with node_client(node, login(context, ADMIN)) as client:
        try:
            client.admin.command("replSetFreeze", 0)
        except OperationFailure as error:
            if error.code != NOT_SECONDARY:
                raise
