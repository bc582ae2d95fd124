"""SIGKILL of the leader's postmaster alone: Patroni goes on, and so, for a moment, do backends."""

from dataclasses import dataclass
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.kill import START_SERVERS
from cluster.server import Server
from cluster.target import CanKill, Hit, Target
from postgres.faults import who
from postgres.scopes import Scope

POSTMASTER = "postgres"


@dataclass(frozen=True)
class KillPostmaster:
    """Kill the postmaster that this Patroni runs."""

    target: Target
    server: Server

    @property
    def name(self) -> str:
        """As shown."""
        return f"SIGKILL the postmaster of {self.server.name}"

    @property
    def undo(self) -> UndoRecord:
        """Patroni starts it again by itself; this starts Patroni, if it has ended."""
        return UndoRecord(START_SERVERS, (self.server.name,))

    def inject(self) -> Hit:
        """Kill it; the target proves that it is gone."""
        if not isinstance(self.target, CanKill):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot kill servers")
        return self.target.kill((self.server,), POSTMASTER)


def postmaster_of_leader(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `scope` now. Raises InconclusiveError where nobody does."""
    server = who.server_named(context, who.leader(scope, seen).name)
    return KillPostmaster(context.target, server)
