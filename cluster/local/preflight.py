"""What must be true of this machine before a server is started; every shortfall is named."""

import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from cluster.errors import InvalidInputError, MissingPrerequisiteError, OpsError, RefusedError
from cluster.layout import Layout
from cluster.local import processes
from cluster.local.supervisor import SOCKET_PATH_LIMIT
from cluster.local.users import RunAs
from cluster.server import Server

LONGEST_SOCKET = "nodes/{node}/run/.s.PGSQL.5432.lock"
FREE_DISK_BYTES = 2 * 1024**3
MEGABYTE = 1024**2
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def check_paths(layout: Layout, servers: Iterable[Server]) -> None:
    """Raises InvalidInputError where a socket's path would be too long for the kernel."""
    longest = max((len(server.node.name) for server in servers), default=0)
    path = layout.root / LONGEST_SOCKET.format(node="x" * longest)
    if len(str(path)) > SOCKET_PATH_LIMIT:
        spare = SOCKET_PATH_LIMIT - (len(str(path)) - len(str(layout.root)))
        raise InvalidInputError(
            f"the state folder's path is too long for Unix sockets: {layout.root}",
            f"name one of at most {spare} characters with --home",
        )


def check_disk(layout: Layout) -> None:
    """Raises RefusedError where the state folder's disk has no room for a cluster."""
    folder = next(parent for parent in (layout.root, *layout.root.parents) if parent.exists())
    free = psutil.disk_usage(str(folder)).free
    if free < FREE_DISK_BYTES:
        raise RefusedError(
            f"{folder} has {free // MEGABYTE} MB free; a cluster needs "
            f"{FREE_DISK_BYTES // MEGABYTE} MB",
            "free some, or name another folder with --home",
        )


def check_readable(user: RunAs, programs: Sequence[str], root: Path) -> None:
    """Raises MissingPrerequisiteError where the servers' user cannot reach a program or `root`.

    A Python that the servers' user cannot read makes Patroni's bootstrap hang for ever.
    """
    if not user.name:
        return
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    for path in (*map(Path, programs), existing / "."):
        blocked = _blocked(path, user)
        if blocked:
            raise MissingPrerequisiteError(
                f"user {user.name} cannot enter {blocked}, which {path} is in",
                "install the tool, and put --home, where every user can read (see README)",
            )


def _blocked(path: Path, user: RunAs) -> Path | None:
    for folder in (*path.parents, *path.resolve().parents):
        mode = folder.stat()
        mine = mode.st_uid == user.uid and mode.st_mode & 0o100
        if not (mode.st_mode & 0o001 or mine):
            return folder
    return None


def check_ports(servers: Iterable[Server], root: Path) -> None:
    """Raises RefusedError naming every port of these idle servers that another listens on."""
    taken = [
        f"{server.node.at(port)} ({server.name}) is in use by {holder}"
        for server in servers
        for port in server.ports
        if _in_use(server.node.address, port)
        for holder in [_holder(server.node.address, port, root)]
        if holder
    ]
    if taken:
        raise RefusedError(
            "\n".join(taken),
            "stop it, or give the cluster another `local.network` in the topology file",
        )


def _in_use(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError as error:
            raise OpsError(f"{address}:{port} cannot be bound: {error.strerror}") from error
        except OSError:
            return True
    return False


def _holder(address: str, port: int, root: Path) -> str:
    """Who listens there; "" where it is a process of this very cluster."""
    own = {process.pid for process in processes.owned(root)}
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and _covers(connection.laddr, address, port):
                return "" if connection.pid in own else _describe(connection.pid)
    return "another user's process"


def _covers(listening: tuple[object, ...], address: str, port: int) -> bool:
    return bool(listening) and listening[1] == port and listening[0] in {address, *ANY_ADDRESS}


def _describe(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    with suppress(psutil.Error):
        return f"{psutil.Process(pid).name()} (pid {pid})"
    return f"pid {pid}"


def is_root() -> bool:
    """Whether the caller may use network faults, other users, and the like."""
    return os.geteuid() == 0
