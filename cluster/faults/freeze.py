"""SIGSTOP of servers: silent, with every socket open; undone by SIGCONT."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.records import named
from cluster.server import Server
from cluster.target import CanFreeze, Hit, Target

THAW_SERVERS = "thaw servers"


@dataclass(frozen=True)
class FreezeServers:
    """Freeze these servers at once. `what` is how people call them together: a node's name."""

    target: Target
    what: str
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """As shown."""
        return f"SIGSTOP {self.what}"

    @property
    def undo(self) -> UndoRecord:
        """Let the same servers go on."""
        return UndoRecord(THAW_SERVERS, tuple(server.name for server in self.servers))

    def inject(self) -> Hit:
        """Freeze them; the target proves that they stand still."""
        if not isinstance(self.target, CanFreeze):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot freeze servers")
        return self.target.freeze(self.servers)


def thaw(target: Target, servers: Iterable[Server]) -> Healer:
    """The healer."""
    known = tuple(servers)

    def heal(record: UndoRecord) -> None:
        found = named(known, record)
        if isinstance(target, CanFreeze):
            target.thaw(found)

    return heal
