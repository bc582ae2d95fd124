"""SIGSTOP of the leader's Patroni alone: its PostgreSQL goes on without a guardian."""

from dataclasses import dataclass
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.freeze import THAW_SERVERS
from cluster.server import Server
from cluster.target import CanFreeze, Hit, Target
from postgres.faults import who
from postgres.scopes import Scope

PATRONI = "patroni"


@dataclass(frozen=True)
class FreezePatroni:
    """Freeze this Patroni, and nothing that it started."""

    target: Target
    server: Server

    @property
    def name(self) -> str:
        """As shown."""
        return f"SIGSTOP Patroni of {self.server.name}"

    @property
    def undo(self) -> UndoRecord:
        """Let it go on."""
        return UndoRecord(THAW_SERVERS, (self.server.name,))

    def inject(self) -> Hit:
        """Freeze it; the target proves that it stands still."""
        if not isinstance(self.target, CanFreeze):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot freeze servers")
        return self.target.freeze((self.server,), PATRONI)


def patroni_of_leader(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `scope` now. Raises InconclusiveError where nobody does."""
    server = who.server_named(context, who.leader(scope, seen).name)
    return FreezePatroni(context.target, server)
