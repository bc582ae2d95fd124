"""What a target does for the engines: run servers, and run tools beside them.

Being able to do a fault is a protocol of its own, so that a drill can ask for it and be skipped
with a reason where the target, or the user's rights, cannot give it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from cluster.inventory import Node
from cluster.server import Server


@dataclass(frozen=True)
class ServerState:
    """What the target knows of a server without asking it."""

    running: bool
    detail: str
    pid: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class ToolResult:
    """What a tool printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


class Target(Protocol):
    """A place where servers run."""

    @property
    def name(self) -> str:
        """`local` or `kubernetes`."""
        ...

    def start(self, server: Server) -> None:
        """Start a server whose files are in place; returns when its process runs."""
        ...

    def stop(self, server: Server) -> None:
        """Stop it cleanly, killing it after `server.stop_seconds`."""
        ...

    def reload(self, server: Server) -> None:
        """Make it read its configuration again."""
        ...

    def state(self, server: Server) -> ServerState:
        """Whether it runs."""
        ...

    def run_tool(
        self,
        node: Node,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> ToolResult:
        """Run a program on a node as the servers' user. Raises UnreachableError on a time-out.

        `env` may hold a password, `argv` never does.
        """
        ...

    def lacks(self, need: type) -> str:
        """Why one of the `Can…` protocols below cannot be had here and by this user; "" if it can.

        For a drill's "skipped: why". Asks the machine, and changes nothing.
        """
        ...


@runtime_checkable
class ReadsAfar(Protocol):
    """Servers' folders are on other machines: what is in them comes over a stream."""

    def read(self, node: Node, path: Path) -> bytes | None:
        """A small file of a node; None where there is none."""
        ...

    def fetch(self, node: Node, folder: Path, into: Path, leave_out: Sequence[str]) -> None:
        """Copy a node's folder here, without files and folders of these names (tar's patterns).

        Raises OpsError where it does not come whole.
        """
        ...


@runtime_checkable
class CanRestore(Protocol):
    """Servers' folders are on this machine: backups can be restored into them, and beside them."""

    def is_here(self, folder: Path) -> bool:
        """Whether a folder of a server is there."""
        ...


@runtime_checkable
class CanRestoreBeside(Protocol):
    """Backups can be restored for a look by this process: the engines' programs are here."""

    @property
    def has_bench(self) -> bool:
        """Whether they are."""
        ...


@dataclass(frozen=True)
class Hit:
    """Proof that a fault was done: when (monotonic seconds), and what was seen."""

    at: float
    proof: str


@runtime_checkable
class CanKill(Protocol):
    """Servers can be killed without a chance to clean up."""

    def kill(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """SIGKILL the servers and everything they started; returns when all are gone.

        With `program` (the process's name) only that program of theirs, and nothing it started.
        """
        ...


@runtime_checkable
class CanFreeze(Protocol):
    """Servers can be stopped in the middle of everything, their sockets open."""

    def freeze(self, servers: Sequence[Server], program: str | None = None) -> Hit:
        """SIGSTOP the servers and everything they started; returns when all stand still.

        With `program` (the process's name) only the processes of that name.
        """
        ...

    def thaw(self, servers: Sequence[Server]) -> None:
        """SIGCONT whatever of them stands still. Idempotent."""
        ...


@runtime_checkable
class CanIsolate(Protocol):
    """The network between two groups of servers can be cut, and nothing else."""

    def isolate(self, name: str, servers: Sequence[Server], peers: Sequence[Server]) -> Hit:
        """Drop every packet between `servers` and `peers`, both ways, on old and new connections.

        Everybody else (clients, proxies) reaches both. `name` (lowercase, digits, `_`) is what
        `rejoin` takes. Returns when it is proved that a packet was dropped.
        """
        ...

    def rejoin(self, name: str) -> None:
        """Let the packets pass again. Idempotent, also where `isolate` was cut off half way."""
        ...


@runtime_checkable
class CanThrottle(Protocol):
    """Servers can be made slow without being stopped."""

    def throttle(self, servers: Sequence[Server], share: float) -> Hit:
        """Let them run for `share` (0 to 1) of the time; returns when they are seen to be slow."""
        ...

    def release(self, servers: Sequence[Server]) -> None:
        """Let them run freely again. Idempotent."""
        ...


@runtime_checkable
class CanWipe(Protocol):
    """A server's data folder can be emptied, as when its disk is replaced."""

    def wipe(self, server: Server) -> Hit:
        """SIGKILL the server with everything it started, and empty its data folder."""
        ...


@runtime_checkable
class CanFill(Protocol):
    """A node's volume can be filled to the last byte."""

    def fill(self, node: Node, folder: Path) -> Hit:
        """Fill the volume that holds `folder`, if it is nobody else's. Raises OpsError if it is."""
        ...

    def drain(self, node: Node, folder: Path) -> None:
        """Give the space back. Idempotent."""
        ...


@runtime_checkable
class CanLoseMachines(Protocol):
    """Servers run on machines of zones, which can be drained, or lost, all at once."""

    def drain_machine(self, machine: str) -> Hit:
        """Move every server away from a machine, as fast as quorums allow."""
        ...

    def stop_zone(self, zone: str) -> Hit:
        """Take every server of a zone away at once, and let none come back to it."""
        ...

    def machine_of(self, node: Node) -> str:
        """The machine that a node runs on. Raises UnreachableError where it runs on none."""
        ...

    def machines_of(self, zone: str) -> tuple[str, ...]:
        """The machines of a zone."""
        ...

    def open_machines(self, machines: Sequence[str]) -> None:
        """Let servers come to these machines again. Idempotent."""
        ...


def read(target: Target, node: Node, path: Path) -> bytes | None:
    """A small file of a node, wherever it is; None where there is none."""
    if isinstance(target, ReadsAfar):
        return target.read(node, path)
    try:
        return path.read_bytes()
    except OSError:
        return None
