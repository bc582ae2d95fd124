"""Restores and the DR round trip, judged by the ledger."""

import pytest

from cluster.clock import wait_for
from postgres.restore_checks import STATED_LOSS, TO_THE_INSTANT
from tests.conftest import Lab
from tests.drills.judged import Run, drilled, must_pass

# CI restores in tests/integration; with a drill around it each takes minutes.
pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]


@pytest.fixture(autouse=True)
def healthy(shared_lab: Lab) -> None:
    shared_lab.run("provision")
    wait_for(
        "health", lambda: shared_lab.run("status", code=None).returncode == 0, seconds=120, every=1
    )


def finding(run: Run, check: str) -> list[str]:
    return [found["validity"] for found in run["findings"] if found["check"] == check]


def test_pitr(shared_lab: Lab) -> None:
    run = drilled(shared_lab, "pg-pitr")
    must_pass(run)
    assert finding(run, TO_THE_INSTANT) == ["valid", "valid"]
    assert all(stream["compared"]["lost"] for stream in run["streams"])  # those after the instant


def test_dr_round_trip(shared_lab: Lab) -> None:
    run = drilled(shared_lab, "pg-dr-promote")
    must_pass(run)
    assert finding(run, STATED_LOSS) == ["valid"]
    assert finding(run, "split brain") == ["valid"]
    assert "nothing to change" in shared_lab.run("provision").stderr


@pytest.mark.parametrize("seed", range(10))
def test_pitr_at_ten_random_instants(shared_lab: Lab, seed: int) -> None:
    name = "pg-pitr-failover" if seed % 3 == 2 else "pg-pitr"
    run = drilled(shared_lab, name, "--seed", str(seed))
    must_pass(run)


@pytest.mark.parametrize("seed", range(3))
def test_dr_round_trip_three_times_in_a_row(shared_lab: Lab, seed: int) -> None:
    run = drilled(shared_lab, "pg-dr-promote", "--seed", str(seed))
    must_pass(run)
    assert finding(run, STATED_LOSS) == ["valid"]


def test_backup_corruption(shared_lab: Lab) -> None:
    run = drilled(shared_lab, "pg-backup-corruption")
    must_pass(run)
