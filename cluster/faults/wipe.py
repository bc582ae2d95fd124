"""A server whose disk was replaced: killed, its data gone; undone by starting it again, empty."""

from dataclasses import dataclass

from cluster.drill.contracts import UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.kill import START_SERVERS
from cluster.server import Server
from cluster.target import CanWipe, Hit, Target


@dataclass(frozen=True)
class WipeServer:
    """Kill this server and empty its data folder."""

    target: Target
    server: Server

    @property
    def name(self) -> str:
        """As shown."""
        return f"wipe {self.server.name}"

    @property
    def undo(self) -> UndoRecord:
        """Start it; what it lost comes back from its peers."""
        return UndoRecord(START_SERVERS, (self.server.name,))

    def inject(self) -> Hit:
        """Wipe it; the target proves that nothing is left."""
        if not isinstance(self.target, CanWipe):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot wipe servers")
        return self.target.wipe(self.server)
