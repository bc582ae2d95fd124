"""MongoDB's two most telling drills on the shared cluster: what an isolated primary can do."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from cluster.clock import wait_for
from mongo.drill_checks import ROLLBACK_FOLDER, ROLLBACKS
from tests.conftest import Lab
from tests.drills.judged import Run, drilled, must_pass

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can cut the network"),
]
MINORITY = "straight to the member"


@pytest.fixture(scope="module")
def runs(shared_lab: Lab) -> Iterator[dict[str, Run]]:
    """Both drills, one after the other, by name."""
    shared_lab.run("provision")
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)
    names = ("mongo-primary-isolated", "mongo-w1-isolated")
    yield {name: drilled(shared_lab, name) for name in names}
    shared_lab.run("drill", "heal", code=None)
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)


def test_an_isolated_primary_acknowledges_nothing_for_a_majority(runs: dict[str, Run]) -> None:
    run = runs["mongo-primary-isolated"]
    must_pass(run)
    [minority] = [stream for stream in run["streams"] if MINORITY in stream["name"]]
    assert minority["acked"] > 0  # before the fault: the way is the right one
    assert minority["failed"] + minority["unknown"] > 0  # and it was tried after it
    assert all(stream["compared"]["lost"] == 0 for stream in run["streams"])
    assert {"refusal", "split brain"} <= {finding["check"] for finding in run["findings"]}


def test_at_w1_the_loss_is_seen_and_explained(runs: dict[str, Run]) -> None:
    run = runs["mongo-w1-isolated"]
    must_pass(run)
    lost = {stream["name"]: stream["compared"]["lost"] for stream in run["streams"]}
    assert [name for name in lost if lost[name] and "majority" in name] == []
    [minority] = [name for name in lost if MINORITY in name]
    assert lost[minority] > 0
    [explained] = [
        finding["message"]
        for finding in run["findings"]
        if finding["check"] == ROLLBACKS and finding["subject"] == minority
    ]
    assert explained.startswith(f"explain all {lost[minority]:,} lost writes")


def test_a_loss_without_its_rollback_files_is_a_fail(shared_lab: Lab, runs: dict[str, Run]) -> None:
    """The control of the control: what explains the loss is taken away."""
    folder = Path(runs["mongo-w1-isolated"]["folder"])
    kept = folder / "collected" / ROLLBACK_FOLDER
    aside = folder / "aside"
    shutil.copytree(kept, aside)
    try:
        for file in kept.rglob("*.bson"):
            file.unlink()
        command = ("drill", "report", folder.name, "--recheck")
        report = cast("Run", shared_lab.json(*command, code=1))
        unexplained = [
            finding["message"]
            for finding in report["findings"]
            if finding["check"] == ROLLBACKS and finding["validity"] == "invalid"
        ]
        assert unexplained
        assert all("in no rollback file" in message for message in unexplained)
    finally:
        shutil.copytree(aside, kept, dirs_exist_ok=True)
        shutil.rmtree(aside)


def _healthy(lab: Lab) -> bool:
    return lab.run("status", code=None).returncode == 0
