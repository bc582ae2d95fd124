"""A node's volume filled to the last byte; undone by giving the space back and starting servers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError, OpsError
from cluster.faults.kill import start_again
from cluster.inventory import Node
from cluster.server import Server
from cluster.target import CanFill, Hit, Target

DRAIN_VOLUME = "drain volume"
NODE, FOLDER = "node", "folder"


@dataclass(frozen=True)
class FillVolume:
    """Fill the volume below `folder`; `servers` are those that may have ended for it."""

    target: Target
    node: Node
    folder: Path
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        """As shown."""
        return f"fill the {self.folder.name} volume of {self.node.name}"

    @property
    def undo(self) -> UndoRecord:
        """Give the space back."""
        names = tuple(server.name for server in self.servers)
        args = {NODE: self.node.name, FOLDER: str(self.folder)}
        return UndoRecord(DRAIN_VOLUME, names, args)

    def inject(self) -> Hit:
        """Fill it; the target proves that nothing more can be written."""
        if not isinstance(self.target, CanFill):
            raise MissingPrerequisiteError(f"the {self.target.name} target cannot fill volumes")
        return self.target.fill(self.node, self.folder)


def drain(target: Target, servers: Iterable[Server]) -> Healer:
    """The healer."""
    known = tuple(servers)
    start = start_again(target, known)

    def heal(record: UndoRecord) -> None:
        node = next((each.node for each in known if each.node.name == record.args[NODE]), None)
        if node is None:
            raise OpsError(f"{record.args[NODE]}: no such node in this topology")
        if isinstance(target, CanFill):
            target.drain(node, Path(record.args[FOLDER]))
        start(record)

    return heal
