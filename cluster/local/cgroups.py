"""Groups of processes in the machine's cgroup v2 tree, told apart by the firewall.

Where v1 controllers are mounted too the tree is elsewhere (/sys/fs/cgroup/unified), and it needs
none of them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.clock import Clock, wait_for
from cluster.local import processes
from cluster.local.processes import Owned

MOUNTS = Path("/proc/self/mounts")
MEMBERS = "cgroup.procs"
REMOVE_SECONDS = 5


def tree() -> Path | None:
    """Where the cgroup v2 tree is mounted; None where it is not."""
    for line in MOUNTS.read_text("utf-8").splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    return None


def writable(folder: Path) -> bool:
    """Whether groups can be made there, and processes moved between them."""
    return os.access(folder, os.W_OK) and os.access(folder / MEMBERS, os.W_OK)


def origin(process: Owned) -> str:
    """Where a process is in the tree, relative to its root; "" for the root or a process gone."""
    try:
        lines = Path(f"/proc/{process.pid}/cgroup").read_text("utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")


@dataclass(frozen=True)
class Group:
    """A cgroup, by its folder."""

    folder: Path

    def make(self) -> None:
        """Make it, and its parents."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def members(self) -> tuple[int, ...]:
        """The pids of its processes; none where it does not exist."""
        try:
            return tuple(map(int, (self.folder / MEMBERS).read_text("ascii").split()))
        except (FileNotFoundError, OSError):
            return ()

    def add(self, process: Owned) -> None:
        """Move a process in, with all its threads and what it will fork; nothing if it is gone."""
        if processes.same(process):
            self.add_pid(process.pid)

    def add_pid(self, pid: int) -> None:
        """The same for a pid that was just read from another group."""
        try:
            (self.folder / MEMBERS).write_text(str(pid), "ascii")
        except ProcessLookupError:
            return

    def remove(self, clock: Clock) -> None:
        """Remove it, and the groups in it; they must be empty of processes that live.

        Raises UnreachableError where a process stays in it.
        """
        if self.folder.is_dir():
            for child in self.folder.iterdir():
                if child.is_dir():
                    Group(child).remove(clock)
            wait_for(f"removal of {self.folder}", self._gone, seconds=REMOVE_SECONDS, clock=clock)

    def _gone(self) -> bool:
        try:
            self.folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # EBUSY: a process in it is still being reaped
            return False
        return True
