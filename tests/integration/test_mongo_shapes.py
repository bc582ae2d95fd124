"""Other shapes of MongoDB than the default one: an arbiter, a set of one, one shard, one router."""

from collections.abc import Iterator

import pytest

from cluster.plan import Outcome
from mongo.drills.common import preflight
from mongo.nodes import shards
from mongo.status import status
from tests.conftest import Lab, make_lab, remove_lab
from tests.integration.mongo_provision import provision

pytestmark = pytest.mark.servers

SMALL = {
    "shards": [
        {"name": "shard-a", "segment": "users_skills", "members": 2, "arbiter": True},
        {"name": "shard-b", "segment": "sessions_messages", "members": 1},
    ],
    "config_servers": {"members": 1},
    "routers": 1,
    "timings": {"election_timeout": 2, "heartbeat_interval": 0.5},
    "write_concern": 1,
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = make_lab("127.83.0.0/16", "small", mongo=SMALL)
    yield lab
    remove_lab(lab)


def test_a_small_topology_with_an_arbiter(lab: Lab) -> None:
    """A shard with an arbiter is refused by addShard where no default write concern is set."""
    context = lab.context
    ends = provision(context)
    assert not [end.why for end in ends.values() if end.error]
    assert {end.outcome for end in provision(context).values()} == {Outcome.UNCHANGED}
    roles = {row.node.name: row.role for row in status(context)}
    assert sorted(roles[f"shard-a-{name}"] for name in ("1", "2", "arbiter")) == [
        "ARBITER",
        "PRIMARY",
        "SECONDARY",
    ]
    assert roles["shard-b-1"] == roles["config-1"] == "PRIMARY"
    assert [preflight(context, shard) for shard in shards(context)] == [
        ["shard-a has 2 data-bearing votes: a majority write needs all"],
        ["shard-b has 1 votes: no majority is left without one of them"],
    ]
