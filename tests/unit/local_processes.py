"""Plain processes that carry a cluster's mark, and a local target to break them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from cluster.inventory import Kind, Node
from cluster.layout import Layout
from cluster.local.processes import CLUSTER_MARK, SERVER_MARK
from cluster.local.target import LocalTarget
from cluster.local.users import RunAs
from cluster.server import Server


class Start(Protocol):
    """Starts a program as a server's process; it has begun to run."""

    def __call__(self, name: str, program: str, *args: str) -> "subprocess.Popen[str]": ...


def server(name: str, address: str = "127.101.9.9", ports: tuple[int, ...] = ()) -> Server:
    node = Node(name, Kind.REDIS, "test", "eu", "zone-a", address)
    return Server(name, node, "test", ("x",), ports=ports)


def local_target(root: Path) -> LocalTarget:
    return LocalTarget(Layout(root), RunAs(None, os.geteuid(), os.getegid()), "supervisord")


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    return local_target(tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """What starts them in this target's cluster, and ends them."""
    running: list[subprocess.Popen[str]] = []

    def start(name: str, program: str, *args: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, CLUSTER_MARK: str(tmp_path), SERVER_MARK: name}
        process = subprocess.Popen(
            [sys.executable, "-c", program, *args],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        return process

    yield start
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
