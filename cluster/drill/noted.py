"""The instant that a drill restores to: noted before data is destroyed, and kept through a crash.

No note means that nothing was destroyed yet, so that there is nothing to be restored.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from cluster.backup.contracts import Restored
from cluster.drill.events import Record
from cluster.files import write_atomic


class PitrTarget(Record):
    """The instant by both clocks, and what became of the restore (seconds)."""

    at: datetime
    at_ns: int
    switched: bool
    reached: datetime | None = None
    seconds: float | None = None


T = TypeVar("T", bound=PitrTarget)


@dataclass(frozen=True)
class Note(Generic[T]):
    """Where one kind of target is written down in the cluster's state folder."""

    path: Path
    kind: type[T]

    def load(self) -> T | None:
        """What was noted; None where nothing was destroyed."""
        return self.kind.model_validate_json(self.path.read_bytes()) if self.path.exists() else None

    def due(self) -> T | None:
        """What is still to be restored to; None where nothing is."""
        noted = self.load()
        return noted if noted is not None and noted.seconds is None else None

    def save(self, noted: T) -> None:
        """Write it down, durably."""
        write_atomic(self.path, noted.model_dump_json(indent=2))

    def restored(self, noted: T, done: Restored) -> None:
        """The restore has ended."""
        self.save(noted.model_copy(update={"reached": done.reached, "seconds": done.seconds}))

    def collect(self, to: Path) -> None:
        """Move the note into a run's evidence."""
        noted = self.load()
        if noted is not None:
            to.write_text(noted.model_dump_json(indent=2), "utf-8")
            self.forget()

    def forget(self) -> None:
        """Of an earlier run."""
        self.path.unlink(missing_ok=True)
