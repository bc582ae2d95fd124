"""Fixtures of tests on real servers."""

from collections.abc import Iterator

import pytest

from tests.conftest import Lab
from tests.integration.mongo_lab import MongoLab, make_lab
from tests.integration.service_lab import ServiceLab, running


@pytest.fixture(scope="session")
def mongo_lab() -> Iterator[MongoLab]:
    """A small sharded cluster behind whichever router is present; tests leave it whole."""
    lab = make_lab()
    try:
        lab.start_all()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="session")
def services(shared_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceLab]:
    """The MVP services as processes on the shared lab's stores; tests leave them running."""
    shared_lab.run("schema", "apply", "--yes")
    with running(shared_lab, tmp_path_factory.mktemp("services")) as lab:
        yield lab


@pytest.fixture
def our_limit(mongo_lab: MongoLab) -> None:
    """For a test of what the segment router cannot do, and mongos can."""
    if mongo_lab.is_mongos:
        pytest.skip("a limit of the segment router; mongos runs here")
