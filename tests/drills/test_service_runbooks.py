"""The runbooks of the services proved, as in test_runbooks, on a cluster with the MVP deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.drills.runbook_conditions import OF_SERVICES, Condition
from tests.drills.runbook_proving import Row, prove

pytestmark = [pytest.mark.servers, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The shared cluster with the services on it, and without them at the end."""
    shared_lab.run("provision")
    shared_lab.run("services", "deploy", "--stage", "mvp")
    yield shared_lab
    shared_lab.run("services", "undeploy", "--yes")


@pytest.mark.parametrize("condition", OF_SERVICES, ids=lambda condition: condition.runbook)
def test_a_runbook_of_the_services_ends_its_condition(
    lab: Lab, table: list[Row], tmp_path: Path, condition: Condition
) -> None:
    table.append(prove(lab, condition, tmp_path))
