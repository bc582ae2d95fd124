"""A drill at another rate."""

import pytest

from cluster.drill.rates import at_rate
from cluster.drill.runner import validate
from cluster.errors import InvalidInputError
from tests.unit.drill_fakes import FakeCluster, drill, stream


def scaled(rate: float) -> list[tuple[float, int]]:
    cluster = FakeCluster()
    streams = (
        stream(cluster, name="a", rate=50, workers=8),
        stream(cluster, name="b", rate=150, workers=20),
    )
    found = at_rate(drill(cluster, streams=streams), rate)
    validate(found)
    return [(one.rate, one.workers) for one in found.streams]


@pytest.mark.parametrize(
    ("rate", "streams"),
    [
        (200, [(50, 8), (150, 20)]),
        (600, [(150, 24), (450, 60)]),
        (2000, [(500, 80), (1500, 200)]),
        (4000, [(1000, 160), (3000, 255)]),
        (20, [(5, 8), (15, 20)]),
        (210, [(52.5, 9), (157.5, 21)]),
    ],
)
def test_each_stream_keeps_its_share(rate: float, streams: list[tuple[float, int]]) -> None:
    assert scaled(rate) == streams


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="rate: must be more than 0"):
        scaled(rate)
