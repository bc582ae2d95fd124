"""Servers that run for a small share of the time: slow, and not dead."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.records import named
from cluster.server import Server
from cluster.target import CanThrottle, Hit, Target

RELEASE_SERVERS = "release servers"


@dataclass(frozen=True)
class ThrottleServers:
    """Let these servers run for `share` (0 to 1) of the time."""

    target: Target
    what: str
    servers: tuple[Server, ...]
    share: float

    @property
    def name(self) -> str:
        """As shown."""
        return f"throttle {self.what} to {self.share:.0%}"

    @property
    def undo(self) -> UndoRecord:
        """Let the same servers run freely."""
        return UndoRecord(RELEASE_SERVERS, tuple(server.name for server in self.servers))

    def inject(self) -> Hit:
        """Throttle them; the target proves that they are slow."""
        if not isinstance(self.target, CanThrottle):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot throttle servers")
        return self.target.throttle(self.servers, self.share)


def release(target: Target, servers: Iterable[Server]) -> Healer:
    """The healer."""
    known = tuple(servers)

    def heal(record: UndoRecord) -> None:
        found = named(known, record)
        if isinstance(target, CanThrottle):
            target.release(found)

    return heal
