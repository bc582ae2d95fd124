"""Fixtures of tests on real servers."""

from collections.abc import Iterator

import pytest

from tests.conftest import Lab
from tests.integration.service_lab import ServiceLab, running


@pytest.fixture(scope="session")
def services(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceLab]:
    """The MVP services as processes on the shared lab's stores; tests leave them running."""
    shared_lab.run("schema", "apply", "--yes")
    with running(shared_lab, tmp_path_factory.mktemp("services")) as lab:
        yield lab
