"""Proof that a partition cuts, by short-lived processes that try to connect from either side."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cluster.clock import Clock, wait_for
from cluster.errors import OpsError, UnreachableError
from cluster.local.cgroups import MEMBERS, Group
from cluster.server import Server

CONNECT_SECONDS = 1.0  # an answer over loopback takes less than a millisecond
LISTEN_SECONDS = 2
CONNECTED, TIMED_OUT = 0, 3

# Goes into a cgroup where it is told one (0 is "this process"), then opens its socket.
PROGRAM = f"""
import socket, sys
address, port, members = sys.argv[1:]
if members:
    with open(members, "w") as file:
        file.write("0")
try:
    socket.create_connection((address, int(port)), {CONNECT_SECONDS}).close()
except TimeoutError:
    sys.exit({TIMED_OUT})
"""

Direction = tuple[Group, Sequence[Server]]


def prove_cut(directions: Sequence[Direction], clock: Clock) -> str:
    """Says in words that nothing of a group reaches those servers, and everybody else does.

    Raises OpsError where a probe gets through, or none of the servers listens to anybody.
    """
    with ThreadPoolExecutor(len(directions)) as pool:
        return "; ".join(pool.map(lambda each: _prove(each[0], each[1], clock), directions))


def _prove(group: Group, servers: Sequence[Server], clock: Clock) -> str:
    server, port = _listening(servers, clock)
    address = server.node.address
    if _connect(address, port, group) != TIMED_OUT:
        raise OpsError(f"a probe from {group.folder.name} reached {server.name}: nothing was cut")
    if _connect(address, port, None) != CONNECTED:
        raise OpsError(f"{server.name} no longer answers to anybody: more was cut than should be")
    return f"no connection from the {group.folder.name} to {server.name}, one from elsewhere"


def _listening(servers: Sequence[Server], clock: Clock) -> tuple[Server, int]:
    def found() -> tuple[Server, int] | None:
        for server in servers:
            for port in server.ports:
                if _connect(server.node.address, port, None) == CONNECTED:
                    return server, port
        return None

    names = ", ".join(server.name for server in servers)
    try:
        return wait_for(f"{names} to listen", found, seconds=LISTEN_SECONDS, clock=clock)
    except UnreachableError as error:
        raise OpsError(
            f"none of {names} listens: nothing would prove that it is cut off"
        ) from error


def _connect(address: str, port: int, group: Group | None) -> int:
    members = str(group.folder / MEMBERS) if group else ""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, address, str(port), members],
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode
