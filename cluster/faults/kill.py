"""SIGKILL of servers, as when their machine loses power; undone by starting them again."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.faults.records import named
from cluster.server import Server
from cluster.target import CanKill, Hit, Target

START_SERVERS = "start servers"
DYING_SECONDS = 1.0  # a large process takes some tenths of that to be gone


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


def start_again(target: Target, servers: Iterable[Server], clock: Clock = SYSTEM_CLOCK) -> Healer:
    """The healer: whichever of the record's servers does not run is started."""
    known = tuple(servers)
    return lambda record: start_stopped(target, named(known, record), clock)


def start_stopped(target: Target, servers: Iterable[Server], clock: Clock = SYSTEM_CLOCK) -> None:
    """Start whichever of these does not run; who seems to is looked at for a while longer.

    An interruption may have come right after the signal, with its victim not yet seen to be dead.
    """
    left, until = list(servers), clock.monotonic() + DYING_SECONDS
    while True:
        for server in [one for one in left if not target.state(one).running]:
            target.start(server)
            left.remove(server)
        if not left or clock.monotonic() >= until:
            return
        clock.sleep(0.1)
