"""PostgreSQL's two most telling drills on the shared cluster: what an isolated primary can do."""

import os
from collections.abc import Iterator

import pytest

from cluster.clock import wait_for
from postgres.drill_checks import DEMOTED_FIRST, OLD_SIDE_SILENT
from tests.conftest import Lab
from tests.drills.judged import Run, drilled, must_pass

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can cut the network"),
]
STRAIGHT = "payments straight"


@pytest.fixture(scope="module")
def runs(shared_lab: Lab) -> Iterator[dict[str, Run]]:
    """Both drills, one after the other, by name."""
    shared_lab.run("provision")
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)
    names = ("pg-primary-isolated", "pg-async")
    yield {name: drilled(shared_lab, name) for name in names}
    shared_lab.run("drill", "heal", code=None)
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)


def test_an_isolated_primary_acknowledges_nothing_and_gives_way(runs: dict[str, Run]) -> None:
    run = runs["pg-primary-isolated"]
    must_pass(run)
    lost = {stream["name"]: stream["compared"]["lost"] for stream in run["streams"]}
    assert set(lost.values()) == {0}, lost
    [straight] = [stream for stream in run["streams"] if stream["name"] == STRAIGHT]
    assert straight["acked"] > 0  # before the fault: the way is the right one
    assert straight["failed"] + straight["unknown"] > 0  # and it was tried after it
    checks = {finding["check"] for finding in run["findings"]}
    assert {"refusal", "split brain", DEMOTED_FIRST, OLD_SIDE_SILENT} <= checks


def test_without_synchronous_mode_the_loss_is_seen(runs: dict[str, Run]) -> None:
    run = runs["pg-async"]
    must_pass(run)
    lost = {stream["name"]: stream["compared"]["lost"] for stream in run["streams"]}
    assert all(lost.values()), lost


def test_synchronous_mode_is_on_again(shared_lab: Lab, runs: dict[str, Run]) -> None:
    """Provisioning would change it back: there is nothing left for it to do."""
    assert "nothing to change" in shared_lab.run("provision").stderr


def _healthy(lab: Lab) -> bool:
    return lab.run("status", code=None).returncode == 0
