"""What an engine promises of its backups: the commands and drills know no more than this.

Instants are aware datetimes in UTC. An engine lists as good only what a restore can begin from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from cluster.context import Context

Say = Callable[[str], None]


class BackupKind(StrEnum):
    """How much a backup copies: all, what changed since the last full, since the last of any."""

    FULL = "full"
    DIFF = "diff"
    INCR = "incr"


@dataclass(frozen=True)
class Backup:
    """A finished backup in one repository. Sizes are bytes: of the data, and as stored there."""

    engine: str
    label: str
    kind: BackupKind
    started: datetime
    stopped: datetime
    bytes_total: int
    bytes_stored: int
    repository: int
    good: bool
    problem: str = ""


@dataclass(frozen=True)
class Window:
    """The instants that a restore can reach without a gap, from one repository."""

    repository: int
    first: datetime
    last: datetime

    def holds(self, instant: datetime) -> bool:
        """Whether a restore can end at this instant."""
        return self.first <= instant <= self.last


@dataclass(frozen=True)
class Target:
    """Where a restore ends: exactly one of the three. `lsn` and `name` are PostgreSQL's alone."""

    time: datetime | None = None
    lsn: str = ""
    name: str = ""

    def __str__(self) -> str:
        if self.time:
            return self.time.isoformat(timespec="milliseconds")
        return self.lsn or self.name


@dataclass(frozen=True)
class Damage:
    """A finding of `verify`: something in a repository that a restore would stumble over."""

    repository: int
    what: str
    reason: str


@dataclass(frozen=True)
class Restored:
    """A finished restore. `reached` is the last instant of the restored data, `seconds` its time.

    `folder` is where a restore beside the cluster put it; `how` says in a line how to start it.
    """

    engine: str
    label: str
    reached: datetime | None
    seconds: float
    bytes_restored: int
    folder: Path | None = None
    how: str = ""


class BackupEngine(Protocol):
    """One engine's backups. Every method raises OpsError for what a person can mend.

    A target outside every window, or past a gap, is refused with InvalidInputError that names the
    range that is possible. A damaged repository is refused too, never worked around in silence.
    """

    @property
    def name(self) -> str:
        """`postgres` or `mongo`."""

    def run(self, context: Context, kind: BackupKind, say: Say) -> tuple[Backup, ...]:
        """Take a backup into every repository; killed anywhere, it leaves none that looks good."""

    def list(self, context: Context) -> tuple[Backup, ...]:
        """The finished backups, oldest first."""

    def windows(self, context: Context) -> tuple[Window, ...]:
        """What can be restored to, by repository; several for one that has a gap."""

    def verify(self, context: Context) -> tuple[Damage, ...]:
        """Read every byte that restores need, against its checksum."""

    def expire(self, context: Context) -> tuple[str, ...]:
        """Remove what retention no longer keeps; the labels that went."""

    def restore_beside(
        self,
        context: Context,
        target: Target,
        folder: Path,
        say: Say,
        bench: Context | None = None,
    ) -> Restored:
        """Restore into an empty folder, without touching the cluster.

        `bench`: the same cluster as it is seen where the copy is made: the folders and programs of
        that machine, which has nothing of the cluster but the topology, its secrets and the
        repositories. None: among the servers' own folders, by their programs.
        """

    def restore_in_place(self, context: Context, target: Target, say: Say) -> Restored:
        """Put the cluster back to that instant: all members re-made, one history from there on."""


@runtime_checkable
class CanMark(Protocol):
    """An engine that can give the present a name to restore to."""

    def mark(self, context: Context, name: str) -> Target:
        """Name the present. Raises InvalidInputError for a name that is taken."""
