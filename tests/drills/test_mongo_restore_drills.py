"""MongoDB's data destroyed under load on the shared cluster, and back to the instant before."""

import pytest

from cluster.clock import wait_for
from mongo.drill_checks import TO_THE_INSTANT
from tests.conftest import Lab
from tests.drills.judged import drilled, must_pass

# A restore of every member takes two minutes; PostgreSQL's is the one in CI.
pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]


def test_what_was_acknowledged_by_the_instant_is_back_and_nothing_else(shared_lab: Lab) -> None:
    shared_lab.run("provision")
    try:
        run = drilled(shared_lab, "mongo-pitr")
        must_pass(run)
        found = [each for each in run["findings"] if each["check"] == TO_THE_INSTANT]
        assert len(found) == 2  # both segments
        assert {each["validity"] for each in found} == {"valid"}
        assert all(stream["compared"]["lost"] > 0 for stream in run["streams"])
    finally:
        shared_lab.run("drill", "heal", code=None)
        wait_for(
            "health",
            lambda: shared_lab.run("status", code=None).returncode == 0,
            seconds=180,
            every=1,
        )
