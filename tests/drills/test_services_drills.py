"""The services under load, and broken under it: on the shared cluster, with the MVP deployed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from cluster.clock import wait_for
from cluster.drill.evidence import COLLECTED
from skillswap_ops.leftovers import left_behind
from skillswap_ops.service_drills.common import NOT_DEPLOYED
from skillswap_ops.traffic.chain_checks import CHAINS_FILE, Collected
from tests.conftest import Lab
from tests.drills.judged import Run, drilled, must_pass

pytestmark = pytest.mark.servers
CHAIN = {"open chains", "orphans", "duplicates", "chain messages"}


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The shared cluster with the services on it, and without them at the end."""
    shared_lab.run("provision")
    wait_for("health", lambda: _healthy(shared_lab), seconds=120, every=1)
    skipped = shared_lab.run("drill", "run", "chain-double-kill", "--yes")
    assert NOT_DEPLOYED in skipped.stderr
    shared_lab.run("services", "deploy", "--stage", "mvp")
    yield shared_lab
    shared_lab.run("drill", "heal", "--yes", code=None)
    shared_lab.run("services", "undeploy", "--yes")


@pytest.mark.exhaustive
def test_journeys_are_served_and_what_was_acknowledged_is_kept(lab: Lab) -> None:
    ended = lab.run("services", "load", "--seconds", "20", "--rate", "0.5", "-o", "json", code=None)
    assert ended.returncode in {0, 3}, ended.stderr  # 3: this machine, and not the services
    load = _json(ended.stdout)
    steps = {step["step"]: step for step in load["steps"]}
    assert steps["pay"]["acked"] > 0, load
    assert all(step["lost"] in {0, None} for step in steps.values()), load
    assert {finding["check"] for finding in load["findings"]} >= CHAIN
    assert left_behind(lab.context, 30) == ()


def test_both_primaries_die_and_no_chain_is_broken(lab: Lab) -> None:
    run = drilled(lab, "chain-double-kill", "--phase", "0")
    findings = [one for one in run["findings"] if one["check"] in CHAIN]
    assert {one["validity"] for one in findings} == {"valid"}, findings
    assert len(findings) == 2 * len(CHAIN)
    assert all(stream["compared"]["lost"] == 0 for stream in run["streams"])
    must_pass(run)
    _is_found_once_planted(lab, run)


def _is_found_once_planted(lab: Lab, run: Run) -> None:
    """An orphan, planted on disk, is another verdict: the check can fail."""
    path = Path(run["folder"]) / COLLECTED / CHAINS_FILE
    genuine = path.read_text("utf-8")
    streams = dict(Collected.model_validate_json(genuine).streams)
    name, found = next(iter(streams.items()))
    streams[name] = found.model_copy(update={"intents": found.intents[1:]})
    try:
        path.write_text(Collected(streams=streams).model_dump_json(), "utf-8")
        again = cast("Run", lab.json("drill", "report", run["run"], "--recheck", code=1))
        [orphan] = [one for one in again["findings"] if one["validity"] == "invalid"]
        assert orphan["check"] == "orphans"
    finally:
        path.write_text(genuine, "utf-8")


def _json(text: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(text))


def _healthy(lab: Lab) -> bool:
    return lab.run("status", code=None).returncode == 0
