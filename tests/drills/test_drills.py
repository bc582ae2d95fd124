"""The shipped drills on the shared cluster, and what happens when one is interrupted or killed."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from cluster.clock import wait_for
from cluster.drill.evidence import runs
from cluster.drill.journal import Journal
from cluster.lock import exclusive
from skillswap_ops.engines import all_servers
from skillswap_ops.upkeep import groups
from tests.conftest import Lab
from tests.drills.judged import Run, drilled, must_pass

pytestmark = pytest.mark.servers


def drills(lab: Lab) -> Path:
    return lab.context.layout.drills


@pytest.fixture(autouse=True)
def whole_again(shared_lab: Lab) -> Iterator[None]:
    """Each drill begins on, and leaves, a healthy cluster."""
    shared_lab.run("provision")
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)
    yield
    shared_lab.run("drill", "heal", code=None)


@pytest.mark.parametrize("drill", ["mongo-primary-kill", "pg-node-kill"])
def test_drill_passes_and_its_evidence_says_the_same(shared_lab: Lab, drill: str) -> None:
    run = drilled(shared_lab, drill)
    must_pass(run)
    assert all(stream["compared"]["lost"] == 0 for stream in run["streams"])
    assert all(run["stamps"][name] is not None for name in run["stamps"])
    again = shared_lab.json("drill", "report", "--recheck", code=None)
    assert again == run
    folder = Path(run["folder"])
    evidence = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for secret in shared_lab.context.layout.secrets.rglob("*"):
        assert secret.is_dir() or secret.read_bytes() not in evidence, secret.name


def test_evidence_tampered_with_is_another_verdict(shared_lab: Lab) -> None:
    """A lost acknowledgement, planted on disk, must be found: the check can fail."""
    genuine = cast("Run", shared_lab.json("drill", "report", code=None))["conclusion"]
    folder = runs(drills(shared_lab))[-1]
    path = sorted(folder.glob("read-back-*.npy"))[0]
    rows = np.load(path)
    try:
        np.save(path, rows[1:])
        report = shared_lab.run("drill", "report", "--recheck", "--output", "json", code=1)
        assert json.loads(report.stdout)["conclusion"] == "fail"
        assert "another verdict" in report.stderr
    finally:
        np.save(path, rows)
    again = cast("Run", shared_lab.json("drill", "report", "--recheck", code=None))
    assert again["conclusion"] == genuine


def test_ctrl_c_heals_and_still_reports(shared_lab: Lab) -> None:
    running = _start(shared_lab, "mongo-primary-kill")
    _wait_for_fault(shared_lab)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=180)
    [run] = json.loads(out)
    assert run["conclusion"] == "inconclusive"
    assert running.returncode == 3
    assert Journal(drills(shared_lab)).open_entries() == ()
    wait_for("health", lambda: _healthy(shared_lab), seconds=60, every=1)


@pytest.mark.exhaustive
def test_repeated_runs_have_seeds_of_their_own_and_their_times_together(shared_lab: Lab) -> None:
    words = ("mongo-secondary-loss", "--repeat", "2", "--seed", "5", "--rate", "60")
    whole = drilled(shared_lab, *words)
    assert whole["verdicts"] == {"pass": 2}, [run["reasons"] for run in whole["runs"]]
    assert whole["seeds"] == [run["seed"] for run in whole["runs"]] == [5, 6]
    assert whole["lost"] == {"median": 0, "maximum": 0, "seen": 2}
    folders = [Path(run["folder"]) for run in whole["runs"]]
    assert folders == list(runs(drills(shared_lab))[-2:])
    rates = json.loads((folders[0] / "config.json").read_bytes())["streams"]
    assert sum(stream["rate"] for stream in rates) == pytest.approx(60)


@pytest.mark.exhaustive
def test_a_soak_has_faults_and_work_and_one_verdict(shared_lab: Lab) -> None:
    names = ("mongo-primary-kill", "work-switchover", "work-resync", "pg-sync-standby-loss")
    steps = ",".join(f"{name}:5:{seed}" for seed, name in enumerate(names))
    run = drilled(shared_lab, "chaos-soak", "--steps", steps, "--seed", "3", "--shrink", "0")
    must_pass(run)
    rounds = [finding for finding in run["findings"] if finding["check"] == "rounds"]
    assert [finding["subject"] for finding in rounds] == [
        f"round {number}, {name}" for number, name in enumerate(names, start=1)
    ]
    assert "copies" in {finding["check"] for finding in run["findings"]}
    assert {stream["group"] for stream in run["streams"]} == {"shard-a", "shard-b", "payments"}
    assert Journal(drills(shared_lab)).open_entries() == ()


@pytest.mark.exhaustive
def test_everything_is_restarted_under_load_and_nothing_is_lost(shared_lab: Lab) -> None:
    words = ("drill", "run", "rolling-restart", "--yes", "--output", "json")
    [run] = json.loads(shared_lab.run(*words, code=None, seconds=1200).stdout)
    must_pass(run)
    assert all(stream["compared"]["lost"] == 0 for stream in run["streams"])
    members = {member for group in groups(shared_lab.context) for member in group.members}
    for _, proof in run["faults"]:
        assert not [member for member in members if f"restart {member}" not in proof]
        assert proof.count("hand over from") == 4  # config, two shards, the payments' scope
    for stream in run["streams"]:
        ended = [down["until"] - down["since"] for down in stream["outages"]]
        print(f"{stream['name']}: the worst gap was {max(ended, default=0.0):.1f} s")


def test_an_unmet_precondition_breaks_nothing(shared_lab: Lab) -> None:
    context = shared_lab.context
    [victim] = [server for server in all_servers(context) if server.name == "shard-a-3"]
    context.target.kill([victim])
    wait_for("its end", lambda: not context.target.state(victim).running, seconds=60)
    ended = shared_lab.run("drill", "run", "mongo-primary-kill", "--yes", "-o", "json", code=3)
    [run] = json.loads(ended.stdout)
    assert run["faults"] == []
    assert any("shard-a-3" in reason for reason in run["reasons"]), run["reasons"]


def test_unknown_drill_and_missing_yes(shared_lab: Lab) -> None:
    assert (
        "there are: mongo-primary-kill"
        in shared_lab.run("drill", "run", "mongo-primary-kil", "--yes", code=2).stderr
    )
    assert "--yes" in shared_lab.run("drill", "run", "pg-node-kill", code=2).stderr


def test_drill_waits_for_no_other_command(shared_lab: Lab) -> None:
    with exclusive(shared_lab.context.layout.lock, "provision"):
        refusal = shared_lab.run("drill", "run", "pg-node-kill", "--yes", code=1)
    assert "`provision` (pid" in refusal.stderr


def _start(lab: Lab, drill: str) -> "subprocess.Popen[str]":
    command = lab.command("drill", "run", drill, "--yes", "--output", "json")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_fault(lab: Lab) -> None:
    journal = Journal(drills(lab))
    wait_for("the fault", journal.open_entries, seconds=60)


def _healthy(lab: Lab) -> bool:
    return lab.run("status", code=None).returncode == 0
