"""Servers of this machine killed, and their disks replaced."""

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from cluster.clock import Clock
from cluster.errors import OpsError, RefusedError
from cluster.layout import Layout
from cluster.local import processes
from cluster.local.volumes import KEPT
from cluster.server import Server
from cluster.target import Hit


class Killing:
    """What makes a local target `CanKill` and `CanWipe`. Needs no root."""

    layout: Layout
    _clock: Clock

    def kill(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """SIGKILL these servers with everything they started, or one program of theirs alone."""
        names = [server.name for server in servers]
        if program:
            return self._kill_program(names, program)
        count = processes.kill_all(self.layout.root, names, self._clock)
        at = self._clock.monotonic()
        if not count:
            raise OpsError(f"nothing of {', '.join(names)} was running: there was nothing to kill")
        return Hit(at, f"SIGKILL: {count} processes of {', '.join(names)} are gone")

    def _kill_program(self, names: Sequence[str], program: str) -> Hit:
        found = processes.owned_by(self.layout.root, names)
        heads = processes.heads(each for each in found if each.name == program)
        at = processes.end(heads, self._clock)
        if not heads:
            raise OpsError(f"{', '.join(names)} ran no {program}: there was nothing to kill")
        pids = ", ".join(str(head.pid) for head in heads)
        return Hit(at, f"SIGKILL: {program} of {', '.join(names)} (pid {pids}) is gone")

    def wipe(self, server: Server) -> Hit:
        """SIGKILL the server, and empty its data folder; the folder itself stays as it is.

        Raises RefusedError where the folder is a symbolic link (what it points to is not ours),
        and OpsError where there was nothing in it.
        """
        data = self.layout.data(server.node)
        if data.is_symlink():
            raise RefusedError(
                f"{data} is a symbolic link: what it points to is not emptied",
                "mount the disk there instead",
            )
        killed = processes.kill_all(self.layout.root, [server.name], self._clock)
        files, size = _empty(data)
        for volume in server.volumes:  # WAL without its data is of no use, and in the way
            _empty(self.layout.node(server.node) / volume.name)
        at = self._clock.monotonic()
        if not files:
            raise OpsError(f"{data} was empty already: there was nothing to wipe")
        if left := _contents(data):
            raise OpsError(f"{data} is not empty: {left[0].name} came back")
        return Hit(
            at,
            f"SIGKILL: {killed} processes of {server.name} are gone; "
            f"{files} files of {size} bytes were deleted from {data.name}",
        )


def _empty(folder: Path) -> tuple[int, int]:
    """Delete all that is in a folder, following no link; returns how many files, and bytes."""
    sizes = [
        entry.st_size
        for path in folder.rglob("*")
        if not stat.S_ISDIR((entry := path.lstat()).st_mode)
    ]
    for child in _contents(folder):
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()
    return len(sizes), sum(sizes)


def _contents(folder: Path) -> list[Path]:
    """What is in a folder, but for what belongs to its disk; nothing where there is no folder."""
    return [path for path in folder.glob("*") if path.name not in KEPT]
