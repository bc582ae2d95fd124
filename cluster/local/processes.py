"""The cluster's processes on this machine, found by what they are and never by a pid alone.

A process belongs to a cluster when its environment carries the cluster's mark, or when its
working directory is in the folder of one of its nodes (Redis and PostgreSQL write their process
title over their environment). Signals go through a pidfd that was opened before the process was
recognised again, so that a recycled pid is never hit.
"""

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.clock import Clock, wait_for
from cluster.errors import UnreachableError

CLUSTER_MARK = "SKILLSWAP_OPS_CLUSTER"
SERVER_MARK = "SKILLSWAP_OPS_SERVER"


@dataclass(frozen=True)
class Owned:
    """A process of the cluster. `server` is "" for supervisord itself."""

    pid: int
    created: float
    server: str
    name: str


def owned(root: Path) -> tuple[Owned, ...]:
    """All live processes of the cluster in `root`."""
    return tuple(
        found for process in psutil.process_iter(["pid"]) if (found := _recognise(process, root))
    )


def owned_by(root: Path, servers: Iterable[str]) -> tuple[Owned, ...]:
    """The live processes of these servers."""
    wanted = set(servers)
    return tuple(process for process in owned(root) if process.server in wanted)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def same(process: Owned) -> bool:
    """Whether its pid still is that process."""
    try:
        return psutil.Process(process.pid).create_time() == process.created
    except psutil.Error:
        return False


def still(process: Owned) -> bool:
    """Whether it stands still: stopped by a signal (state T)."""
    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def counted(processes: Iterable[Owned]) -> str:
    """How many there are of each program of each server: "pg1 (2 patroni, 9 postgres)"."""
    names: dict[str, list[str]] = defaultdict(list)
    for process in processes:
        names[process.server].append(process.name)
    return ", ".join(
        f"{server} ({', '.join(f'{count} {name}' for name, count in sorted(Counter(of).items()))})"
        for server, of in sorted(names.items())
    )


def started_at(pid: int) -> float | None:
    """Seconds from the machine's boot to the start of a process; None where it is gone."""
    try:
        return psutil.Process(pid).create_time() - psutil.boot_time()
    except psutil.Error:
        return None


def memory(processes: Iterable[Owned]) -> int:
    """Resident bytes, memory shared between processes counted once (PSS)."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += psutil.Process(process.pid).memory_full_info().pss
    return total


def send(processes: Iterable[Owned], number: signal.Signals) -> None:
    """Signal processes that still are what they were when they were found."""
    for process in processes:
        with pidfd(process) as handle:
            if handle is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)


def heads(processes: Iterable[Owned]) -> tuple[Owned, ...]:
    """Those that none of the others has started: the postmaster, and none of its backends."""
    found = tuple(processes)
    pids = {process.pid for process in found}
    return tuple(process for process in found if _parent(process) not in pids)


def _parent(process: Owned) -> int | None:
    try:
        return psutil.Process(process.pid).ppid()
    except psutil.Error:
        return None


def end(processes: Iterable[Owned], clock: Clock, seconds: float = 10) -> float:
    """SIGKILL exactly these processes; when (monotonic) they were gone. Raises UnreachableError.

    What is started in their place meanwhile is left alone.
    """
    left = tuple(processes)

    def gone() -> bool:
        nonlocal left
        left = tuple(process for process in left if _is_there(process))
        send(left, signal.SIGKILL)
        return not left

    wait_for("end of the killed processes", gone, seconds=seconds, every=0.005, clock=clock)
    return clock.monotonic()


def _is_there(process: Owned) -> bool:
    return same(process) and alive(process.pid)


def kill_all(root: Path, servers: Iterable[str] | None, clock: Clock, seconds: float = 10) -> int:
    """SIGKILL these servers (None: everything of the cluster) until nothing of them is left.

    Returns how many processes were killed. Raises UnreachableError where one does not die.
    """
    killed: set[Owned] = set()
    wanted = None if servers is None else set(servers)

    def gone() -> bool:
        left = owned(root) if wanted is None else owned_by(root, wanted)
        send(left, signal.SIGKILL)
        killed.update(left)
        return not left

    try:
        wait_for("end of the killed processes", gone, seconds=seconds, every=0.005, clock=clock)
    except UnreachableError as error:
        raise UnreachableError(error.message, "processes in state D wait for the disk") from error
    return len(killed)


class pidfd:  # noqa: N801 - used as a function
    """A pidfd of a process, or None where the pid now is another process or nothing."""

    def __init__(self, process: Owned) -> None:
        self._process = process
        self._handle: int | None = None

    def __enter__(self) -> int | None:
        try:
            self._handle = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            return None
        return self._handle if same(self._process) else None

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)


def _recognise(process: psutil.Process, root: Path) -> Owned | None:
    try:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return None
            server = _server_of(process, root)
            if server is None:
                return None
            return Owned(process.pid, process.create_time(), server, process.name())
    except (psutil.Error, OSError):
        return None


def _server_of(process: psutil.Process, root: Path) -> str | None:
    marks = process.environ()
    if CLUSTER_MARK in marks:
        return marks.get(SERVER_MARK, "") if marks[CLUSTER_MARK] == str(root) else None
    nodes, here = root / "nodes", Path(process.cwd())
    # No mark left: it is the node's main server, which is named as the node is.
    return (
        here.relative_to(nodes).parts[0] if here != nodes and here.is_relative_to(nodes) else None
    )
