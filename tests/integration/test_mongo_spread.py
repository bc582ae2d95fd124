"""A segment that two shards name: refused where no mongos runs, spread where one does."""

from collections.abc import Iterator

import pytest

from cluster.errors import RefusedError
from cluster.plan import Outcome, execute, preview
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import ADMIN, login
from mongo.schema import apply, spread_steps
from mongo.schema.spread import refusal
from mongo.sharding import registered_shards, segment_places
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.mongo_provision import provision

pytestmark = pytest.mark.servers

SEGMENT = "sessions_messages"
SMALL = {"members": 1}
TOPOLOGY = {
    "shards": [
        {"name": "shard-a", "segment": "users_skills", **SMALL},
        {"name": "shard-b", "segment": SEGMENT, **SMALL},
        {"name": "shard-c", "segment": SEGMENT, **SMALL},
    ],
    "config_servers": SMALL,
    "routers": 1,
}


@pytest.fixture(scope="module")
def context() -> Iterator[LocalContext]:
    """MongoDB alone, three shards of one member."""
    lab: Lab = make_lab("127.93.0.0/16", "spread", mongo=TOPOLOGY)
    try:
        made = lab.context
        ends = provision(made)
        assert not [end.why for end in ends.values() if end.outcome is Outcome.FAILED]
        applied = execute(apply.steps(made, prune=False), lambda _: None)
        assert not [end.why for end in applied if end.outcome is Outcome.FAILED]
        yield made
    finally:
        remove_lab(lab)


def test_the_third_shard_waits_beside_the_segment(context: LocalContext) -> None:
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        assert set(registered_shards(client)) == {"shard-a", "shard-b", "shard-c"}
        assert segment_places(client)[SEGMENT] == "shard-b"


def test_without_mongos_spreading_is_refused_and_changes_nothing(context: LocalContext) -> None:
    if refusal(context) is None:
        pytest.skip("a limit of the segment router; mongos runs here")
    steps = spread_steps.steps(context)
    (row,) = preview(steps)
    assert "needs mongos" in row.why
    (end,) = execute(steps, lambda _: None)
    assert end.outcome is Outcome.FAILED
    assert isinstance(end.error, RefusedError)
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        assert list(client.config.tags.find({"ns": {"$regex": f"^{SEGMENT}"}})) == []


def test_with_mongos_the_segment_is_spread_once(context: LocalContext) -> None:
    if reason := refusal(context):
        pytest.skip(reason)
    first = execute(spread_steps.steps(context), lambda _: None)
    assert {end.outcome for end in first} == {Outcome.CHANGED}
    again = execute(spread_steps.steps(context), lambda _: None)
    assert {end.outcome for end in again} == {Outcome.UNCHANGED}
