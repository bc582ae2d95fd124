"""Side by side with the bare engine or a peer, in one run, as a ratio. Nothing is asserted.

`./bootstrap test -s bench` runs them. Goals, from the project's plan: provision at most 1.3 times a
bare script, a replica set not slower than mlaunch, `--help` at most 3 times `import click`.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest

from cluster.clock import wait_for
from cluster.inventory import Kind
from cluster.local import processes
from cluster.local.steps import start_steps, supervisor_step
from cluster.plan import execute
from mongo import steps as mongo_steps
from skillswap_ops.engines import all_servers
from skillswap_ops.provisioning import make_home
from skillswap_ops.stepping import failures
from tests.benchmarks.bare_patroni import BarePatroni
from tests.conftest import Lab, make_lab, remove_lab

pytestmark = pytest.mark.servers
ROUNDS = int(os.environ.get("SKILLSWAP_OPS_BENCH_ROUNDS", "3"))


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def report(what: str, ours: list[float], peer: list[float], goal: float) -> None:
    """Medians, and the ratio pair by pair."""
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    print(
        f"\n{what}: ours {statistics.median(ours):.2f} s, beside {statistics.median(peer):.2f} s; "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"goal at most {goal:g}, {len(ratios)} pairs"
    )


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = make_lab("127.91.0.0/16", "bench")
    yield lab
    remove_lab(lab)


def test_provision_beside_a_bare_script(lab: Lab) -> None:
    """The whole topology against etcd and three Patroni members alone."""
    context = lab.context
    postgres = context.programs.postgres("postgres", context.topology.postgres.version)
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: lab.run("provision")))
        lab.run("destroy", "--yes")
        with BarePatroni("127.92.0", Path(postgres).parent) as script:
            bare.append(seconds(script.start_and_wait))
    report("provision", ours, bare, 1.3)


def test_replica_set_beside_mlaunch(lab: Lab) -> None:
    """Three members from nothing to the first majority write."""
    ours, peer = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: _our_replica_set(lab)))
        processes.kill_all(lab.context.layout.root, None, lab.context.clock)
        shutil.rmtree(lab.context.layout.root)
        peer.append(_mlaunch(lab))
    report("replica set", ours, peer, 1.0)


def _our_replica_set(lab: Lab) -> None:
    """shard-a of the topology by the tool's own steps, keyfile authentication included."""
    context = lab.context
    make_home(context)
    members = [s for s in all_servers(context) if s.node.group == "shard-a"]
    initiate = [step for step in mongo_steps.steps(context) if step.name == "replica set shard-a"]
    ends = execute(
        (
            supervisor_step(context.target, context.clock),
            *start_steps(context.target, members),
            *initiate,
        ),
        lambda _: None,
    )
    assert not failures(ends), failures(ends)
    hosts = ",".join(s.node.at(s.ports[0]) for s in members)
    key = context.secrets.key("mongo-keyfile").get_secret_value()
    _majority_write(
        pymongo.MongoClient(
            f"mongodb://{hosts}/?replicaSet=shard-a",
            username="__system",
            password=key,
            authSource="local",
            authMechanism="SCRAM-SHA-256",
        )
    )


def _mlaunch(lab: Lab) -> float:
    """mlaunch's three members, without authentication, which it sets up only afterwards."""
    folder = tempfile.mkdtemp(prefix="sso-mlaunch-")
    binaries = Path(lab.context.programs.mongod()).parent
    mlaunch = [str(Path(sys.executable).parent / "mlaunch")]
    port = "37017"
    try:

        def work() -> None:
            subprocess.run(
                [
                    *mlaunch,
                    "init",
                    "--replicaset",
                    "--nodes",
                    "3",
                    "--port",
                    port,
                    "--dir",
                    folder,
                    "--binarypath",
                    str(binaries),
                    "--nounixsocket",
                    "--wiredTigerCacheSizeGB",
                    "0.25",
                ],
                check=True,
                capture_output=True,
            )
            _majority_write(pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/?replicaSet=replset"))

        return seconds(work)
    finally:
        subprocess.run(
            [*mlaunch, "kill", "--signal", "9", "--dir", folder], check=False, capture_output=True
        )
        wait_for("end of mlaunch's members", lambda: _free(int(port)), seconds=20)
        shutil.rmtree(folder)


def _majority_write(client: "pymongo.MongoClient[dict[str, int]]") -> None:
    with client:
        place = client["bench"].get_collection(
            "first", write_concern=pymongo.WriteConcern(w="majority")
        )
        place.insert_one({"_id": 1})


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_help_beside_importing_click() -> None:
    """How long a person waits for --help."""
    ours, peer = [], []
    script = str(Path(sys.executable).parent / "skillswap-ops")
    for _ in range(10 * ROUNDS):
        ours.append(seconds(lambda: _run(script, "--help")))
        peer.append(seconds(lambda: _run(sys.executable, "-c", "import click")))
    report("--help", ours, peer, 3.0)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def test_inventory_of_the_bench_is_the_shipped_one(lab: Lab) -> None:
    """What is timed is the whole topology."""
    kinds = {node.kind for node in lab.context.inventory.nodes}
    assert kinds == set(Kind) - {Kind.ARBITER, Kind.WEB, Kind.SERVICE}
