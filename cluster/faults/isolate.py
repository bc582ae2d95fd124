"""A network partition between some servers and their peers, and nobody else."""

from dataclasses import dataclass

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.server import Server
from cluster.target import CanIsolate, Hit, Target

REJOIN_NETWORK = "rejoin network"
NAME = "name"


@dataclass(frozen=True)
class IsolateServers:
    """Cut `servers` from `peers`. `partition` names the cut on the target; `what` is shown."""

    target: Target
    what: str
    partition: str
    servers: tuple[Server, ...]
    peers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """As shown."""
        return f"isolate {self.what}"

    @property
    def undo(self) -> UndoRecord:
        """Let the packets pass again."""
        names = tuple(server.name for server in self.servers)
        return UndoRecord(REJOIN_NETWORK, names, {NAME: self.partition})

    def inject(self) -> Hit:
        """Cut; the target proves that packets are dropped."""
        if not isinstance(self.target, CanIsolate):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot cut the network")
        return self.target.isolate(self.partition, self.servers, self.peers)


def rejoin(target: Target) -> Healer:
    """The healer."""

    def heal(record: UndoRecord) -> None:
        if isinstance(target, CanIsolate):
            target.rejoin(record.args[NAME])

    return heal
