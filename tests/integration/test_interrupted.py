"""kill -9 of `provision` at random moments; the next `provision` finishes, and nothing is twice."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from cluster.clock import wait_for
from cluster.local import processes
from skillswap_ops.engines import all_servers
from tests.conftest import Lab, make_lab, remove_lab

pytestmark = pytest.mark.servers

KILLS = 10
IN_CI = 1
SEED = int(os.environ.get("SKILLSWAP_OPS_TEST_SEED", "0")) or random.SystemRandom().randrange(10**6)
LONGEST = 16.0  # seconds; about as long as a whole provision takes


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = make_lab("127.87.0.0/16", "killed")
    yield lab
    remove_lab(lab)


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(number, marks=() if number < IN_CI else pytest.mark.exhaustive)
        for number in range(KILLS)
    ],
)
def test_killed_provision_is_finished_by_the_next(lab: Lab, attempt: int) -> None:
    moment = random.Random(SEED + attempt).uniform(0.5, LONGEST)
    print(f"seed {SEED}, attempt {attempt}: kill -9 after {moment:.2f} s")
    _provision_killed_after(lab, moment)
    lab.run("provision")
    _is_healthy_and_single(lab)
    context = lab.context
    sockets = [
        (server.node.address, port) for server in all_servers(context) for port in server.ports
    ]
    lab.run("destroy", "--yes")
    assert not context.layout.root.exists()
    assert processes.owned(context.layout.root) == ()
    listening = {
        tuple(connection.laddr)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert not listening & set(sockets)
    assert [path.name for path in lab.home.iterdir()] == ["topology.yaml"]


def _provision_killed_after(lab: Lab, seconds: float) -> None:
    running = subprocess.Popen(
        lab.command("provision"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)  # the moment is what is tested, not something to wait for
    running.send_signal(signal.SIGKILL)
    running.wait()


def _is_healthy_and_single(lab: Lab) -> None:
    seen = wait_for("health", lambda: _healthy(lab), seconds=60, every=1)
    nodes = seen["nodes"]
    assert isinstance(nodes, list)
    for group in ("shard-a", "shard-b", "config"):
        roles = [node["role"] for node in nodes if node["group"] == group]
        assert sorted(roles) == ["PRIMARY", "SECONDARY", "SECONDARY"], group
    leaders = [
        node["node"]
        for node in nodes
        if node["group"] == "payments" and node["role"].startswith("primary")
    ]
    assert len(leaders) == 1, nodes


def _healthy(lab: Lab) -> dict[str, object] | None:
    seen = lab.json("status", code=None)
    assert isinstance(seen, dict)
    return seen if seen["healthy"] else None
