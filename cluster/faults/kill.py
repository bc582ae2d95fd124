"""SIGKILL of servers, as when their machine loses power; undone by starting them again."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.records import named
from cluster.server import Server
from cluster.target import CanKill, Hit, Target

START_SERVERS = "start servers"


@dataclass(frozen=True)
class KillServers:
    """Kill these servers at once. `what` is how people call them together: a node's name."""

    target: Target
    what: str
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """As shown."""
        return f"SIGKILL {self.what}"

    @property
    def undo(self) -> UndoRecord:
        """Start the same servers again."""
        return UndoRecord(START_SERVERS, tuple(server.name for server in self.servers))

    def inject(self) -> Hit:
        """Kill them; the target proves that nothing of them is left."""
        if not isinstance(self.target, CanKill):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot kill servers")
        return self.target.kill(self.servers)


def start_again(target: Target, servers: Iterable[Server]) -> Healer:
    """The healer: whichever of the record's servers does not run is started."""
    known = tuple(servers)

    def heal(record: UndoRecord) -> None:
        for server in named(known, record):
            if not target.state(server).running:
                target.start(server)

    return heal
