"""A machine that is drained, or a zone that is lost, where servers run on machines that can be.

Both keep pods away by closing machines; undone by opening them again.
"""

from dataclasses import dataclass

from cluster.drill.contracts import Healer, UndoRecord
from cluster.errors import MissingPrerequisiteError
from cluster.target import CanLoseMachines, Hit, Target

OPEN_MACHINES = "open machines"


@dataclass(frozen=True)
class DrainMachine:
    """Move everything away from a machine, as before its update."""

    target: Target
    machine: str

    @property
    def name(self) -> str:
        """As shown."""
        return f"drain {self.machine}"

    @property
    def undo(self) -> UndoRecord:
        """Open it."""
        return UndoRecord(OPEN_MACHINES, (self.machine,))

    def inject(self) -> Hit:
        """Drain it; the target proves that nothing of ours is left on it."""
        return _machines(self.target).drain_machine(self.machine)


@dataclass(frozen=True)
class LoseZone:
    """Take away every machine of a zone at once, with what runs on it."""

    target: Target
    zone: str

    @property
    def name(self) -> str:
        """As shown."""
        return f"loss of zone {self.zone}"

    @property
    def undo(self) -> UndoRecord:
        """Open all of them."""
        return UndoRecord(OPEN_MACHINES, _machines(self.target).machines_of(self.zone))

    def inject(self) -> Hit:
        """Lose it; the target proves that nothing of ours is left in it."""
        return _machines(self.target).stop_zone(self.zone)


def open_again(target: Target) -> Healer:
    """The healer. What was kept away comes back by itself; convergence waits for that."""

    def heal(record: UndoRecord) -> None:
        _machines(target).open_machines(record.targets)

    return heal


def _machines(target: Target) -> CanLoseMachines:
    if not isinstance(target, CanLoseMachines):
        raise MissingPrerequisiteError(f"the {target.name} target has no machines to lose")
    return target
