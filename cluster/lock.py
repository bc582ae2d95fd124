"""One changing command at a time on a cluster."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import BusyError

Keeper = Callable[[Path, str], None]
_keepers: list[Keeper] = []


@contextmanager
def told(keeper: Keeper) -> Iterator[None]:
    """Tell `keeper` of the folder and the command of every change that begins in the block.

    In any thread of this process: it keeps the book of changing commands.
    """
    _keepers.append(keeper)
    try:
        yield
    finally:
        _keepers.remove(keeper)


def changes(root: Path, command: str) -> None:
    """Say that this command changes the cluster in `root`. `exclusive` does so by itself."""
    for keeper in _keepers:
        keeper(root, command)


@contextmanager
def exclusive(
    path: Path, command: str, *, root: Path | None = None, untold: bool = False
) -> Iterator[None]:
    """Hold the cluster's lock; the kernel lets go of it even after kill -9.

    `root` is the cluster's folder, where the lock is not in it. `untold`: it changes nothing, or
    is part of a command that has said so. Raises BusyError that names the command and pid that hold
    it.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip()
            raise BusyError(
                f"{holder or 'another command'} is at work on this cluster ({path.parent})",
                "wait for it to end",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"`{command}` (pid {os.getpid()})".encode(), 0)
        if not untold:
            changes(root or path.parent, command)
        yield
    finally:
        os.close(handle)
