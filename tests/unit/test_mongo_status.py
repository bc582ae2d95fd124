"""What status, endpoints and observers make of members' answers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from cluster.errors import RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.status import Health, NodeStatus
from mongo.client import as_ops_error
from mongo.endpoints import endpoints
from mongo.observer import View, observe, parse_view
from mongo.status import Seen, parse_hello, parse_member, with_lag
from tests.unit.mongo_samples import answer, context

FIRST, SECOND, THIRD = (f"127.83.1.{number}:27018" for number in (1, 2, 3))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return context(tmp_path).inventory.named("shard-a-1")


def test_a_primary_is_seen_with_its_term(node: Node) -> None:
    seen = parse_member(node, answer("status_primary"), {})
    assert seen.status == NodeStatus(node, Health.OK, "PRIMARY", epoch="term 1")
    assert seen.at is not None


def test_a_secondary_names_its_source_and_whom_it_misses(node: Node) -> None:
    seen = parse_member(node, answer("status_seeing_primary_down"), {FIRST: "first"})
    assert seen.status.role == "SECONDARY"
    assert "sees first down" in seen.status.detail


def test_a_recovering_member_is_degraded(node: Node) -> None:
    seen = parse_member(node, {**answer("status_secondary"), "myState": 3}, {})
    assert (seen.status.role, seen.status.health) == ("RECOVERING", Health.DEGRADED)


@pytest.mark.parametrize(
    ("hello", "role", "health"),
    [
        ({"isreplicaset": True}, "not initiated", Health.DEGRADED),
        ({"setName": "s", "isWritablePrimary": True}, "PRIMARY", Health.OK),
        ({"setName": "s", "isWritablePrimary": False, "secondary": True}, "SECONDARY", Health.OK),
        ({"setName": "s", "arbiterOnly": True}, "ARBITER", Health.OK),
        ({"setName": "s"}, "UNKNOWN", Health.DEGRADED),
    ],
)
def test_hello_tells_anybody_the_role(
    node: Node, hello: dict[str, Any], role: str, health: Health
) -> None:
    assert parse_hello(node, hello) == NodeStatus(node, health, role)


def test_lag_is_behind_the_sets_own_primary(tmp_path: Path) -> None:
    made = context(tmp_path).inventory
    now = datetime(2030, 1, 1, tzinfo=UTC)

    def seen(name: str, role: str, seconds: float) -> Seen:
        status = NodeStatus(made.named(name), Health.OK, role)
        return Seen(status, now - timedelta(seconds=seconds))

    rows = with_lag(
        [
            seen("shard-a-1", "PRIMARY", 0),
            seen("shard-a-2", "SECONDARY", 2.5),
            seen("shard-a-3", "SECONDARY", -0.1),
            seen("shard-b-1", "SECONDARY", 60),
        ]
    )
    assert [row.lag_seconds for row in rows] == [None, 2.5, 0.0, None]


def test_endpoints_mask_passwords_unless_asked(tmp_path: Path) -> None:
    made = context(tmp_path)
    secret = made.secrets.get("mongo-app").get_secret_value()
    masked = {row.name: row.uri for row in endpoints(made, reveal=False)}
    shown = {row.name: row.uri for row in endpoints(made, reveal=True)}
    assert masked["mongo-users_skills"] == (
        "mongodb://app:***@127.77.51.1:27017,127.77.51.2:27017/users_skills?authSource=admin"
    )
    assert shown["mongo-users_skills"] == masked["mongo-users_skills"].replace("***", secret)
    assert masked["mongo-shard-b"].endswith("/admin?authSource=admin&replicaSet=shard-b")
    assert not any(secret in uri for uri in masked.values())
    assert all("segment router" in row.purpose for row in endpoints(made, reveal=False)[:4])


# The drill's observer


def test_a_captured_primary_knows_its_term() -> None:
    assert parse_view("a", answer("hello_primary"), answer("status_primary")) == View(
        "a", primary=True, term=1
    )


def test_a_captured_secondary_has_noticed_the_loss() -> None:
    status = answer("status_seeing_primary_down")
    view = parse_view("b", answer("hello_secondary"), status)
    assert view.down == {FIRST}
    assert observe([view], FIRST).detected_down
    assert not observe([view], SECOND).detected_down


def test_an_older_terms_primary_is_stale_and_no_leader() -> None:
    old, new = View("a", primary=True, term=3), View("b", primary=True, term=4)
    seen = observe([old, new, View("c", primary=False, term=4)], FIRST)
    assert (seen.leaders, seen.epoch, seen.stale) == (("b",), 4, ("a",))


def test_two_primaries_of_one_term_are_both_leaders() -> None:
    seen = observe([View("a", primary=True, term=4), View("b", primary=True, term=4)], "")
    assert seen.leaders == ("a", "b")


def test_nobody_leads() -> None:
    seen = observe([View("a", primary=False, term=4)], FIRST)
    assert (seen.leaders, seen.epoch) == ((), None)


def test_a_server_that_did_not_answer_in_time_is_silent_and_refuses_nothing() -> None:
    """The router, or a member, gives the driver's own deadline back as its error."""
    late = OperationFailure("operation exceeded time limit", 50, {"codeName": "MaxTimeMSExpired"})
    assert isinstance(as_ops_error("router-1", late), UnreachableError)
    refused = as_ops_error("router-1", OperationFailure("no", 13, {"codeName": "Unauthorized"}))
    assert isinstance(refused, RefusedError)
