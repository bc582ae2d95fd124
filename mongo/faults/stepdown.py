"""replSetStepDown, as before maintenance; undone by letting the member stand for election again."""

from dataclasses import dataclass
from random import Random

from pymongo.errors import OperationFailure

from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import OpsError
from cluster.inventory import Node
from cluster.target import Hit
from mongo.client import node_client
from mongo.credentials import ADMIN, login
from mongo.faults.who import primary_of, servers_of

ALLOW_ELECTION = "allow election"
STEP_DOWN_SECONDS = 60  # the server's default: so long the member stands for no election
CATCH_UP_SECONDS = 10  # the server's default: so long it waits for a secondary to be level with it
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
        seconds = CATCH_UP_SECONDS + 5
        user = login(self.context, ADMIN)
        with node_client(self.node, user, seconds=seconds) as client:
            client.admin.command(
                "replSetStepDown",
                STEP_DOWN_SECONDS,
                secondaryCatchUpPeriodSecs=CATCH_UP_SECONDS,
            )
            at = self.context.clock.monotonic()
            hello = client.admin.command("hello")
        if hello["isWritablePrimary"]:
            raise OpsError(f"{self.node.name} is primary still, or again")
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
