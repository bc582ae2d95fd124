"""What tests of the router share: a small cluster, which ends with the last of them."""

from collections.abc import Iterator

import pytest

from tests.integration.mongo_lab import MongoLab, make_lab


@pytest.fixture(scope="package")
def mongo_lab() -> Iterator[MongoLab]:
    """A small sharded cluster behind whichever router is present; tests leave it whole."""
    lab = make_lab()
    try:
        lab.start_all()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def our_limit(mongo_lab: MongoLab) -> None:
    """For a test of what the segment router cannot do, and mongos can."""
    if mongo_lab.is_mongos:
        pytest.skip("a limit of the segment router; mongos runs here")
