"""One changing command at a time on a cluster."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import BusyError


@contextmanager
def exclusive(path: Path, command: str) -> Iterator[None]:
    """Hold the cluster's lock; the kernel lets go of it even after kill -9.

    Raises BusyError that names the command and pid that hold it.
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
        yield
    finally:
        os.close(handle)
