"""Which secondaries answer a report."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import Timestamp

from cluster.errors import UnreachableError
from cluster.freshness import Asked, Reached
from cluster.inventory import Kind, Node
from mongo.set_model import State
from mongo.staleness import Seen, asked_of, at_primary, at_secondaries, parse_member

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def node(name: str, zone: str) -> Node:
    return Node(name, Kind.SHARD, name[:1], "eu", zone, "127.0.0.1")


def member(name: str, zone: str, state: State, place: int, *, term: int = 1) -> Seen:
    at = NOON - timedelta(seconds=10 - place)
    return Seen(node(name, zone), state, term, Reached(place, at), NOON)


A = [
    member("a1", "za", State.PRIMARY, 10),
    member("a2", "zb", State.SECONDARY, 7),
    member("a3", "zc", State.SECONDARY, 10),
]
ASKED = Asked(10, NOON)


def test_a_members_own_answer() -> None:
    """As a 6.0 server gives it; its times are UTC."""
    answer = {
        "myState": 2,
        "term": 3,
        "date": datetime(2026, 3, 1, 12, 0, 1),
        "optimes": {
            "appliedOpTime": {"ts": Timestamp(5, 2), "t": 3},
            "lastAppliedWallTime": datetime(2026, 3, 1, 12),
        },
    }
    seen = parse_member(node("a2", "zb"), answer)
    assert seen == Seen(
        node("a2", "zb"),
        State.SECONDARY,
        3,
        Reached((5 << 32) + 2, NOON),
        NOON + timedelta(seconds=1),
    )


def test_the_least_stale_zone_is_chosen() -> None:
    choice = at_secondaries([A], [ASKED])
    assert choice is not None
    assert choice.tags == (("region", "eu"), ("zone", "zc"))
    assert choice.preference.document == {
        "mode": "secondary",
        "tags": [{"region": "eu", "zone": "zc"}],
    }
    assert (choice.answered.member, choice.answered.staleness_seconds) == ("a3", 0.0)


def test_a_zone_with_two_members_is_as_stale_as_the_staler() -> None:
    behind = member("a4", "zc", State.SECONDARY, 4)
    choice = at_secondaries([[A[0], A[2], behind]], [ASKED])
    assert choice is not None
    assert (choice.answered.member, choice.answered.staleness_seconds) == ("a3, a4", 6.0)


def test_every_shard_of_a_spread_segment_must_have_one_in_the_zone() -> None:
    other = [member("b1", "zc", State.PRIMARY, 10), member("b2", "zb", State.SECONDARY, 9)]
    choice = at_secondaries([A, other], [ASKED, ASKED])
    assert choice is not None
    assert (choice.answered.member, choice.answered.staleness_seconds) == ("a2, b2", 3.0)


def test_no_secondary_no_choice() -> None:
    recovering = member("a2", "zb", State.RECOVERING, 10)
    assert at_secondaries([[A[0], recovering]], [ASKED]) is None


def test_without_a_primary_a_secondary_answers_of_unknown_age() -> None:
    choice = at_secondaries([A[1:]], [None])
    assert choice is not None
    assert choice.answered.staleness_seconds is None


def test_of_two_primaries_the_one_of_the_newer_term_says_where_it_is() -> None:
    old = member("a1", "za", State.PRIMARY, 12, term=1)
    new = member("a2", "zb", State.PRIMARY, 11, term=2)
    assert asked_of([old, new]) == Asked(11, NOON)
    assert asked_of(A[1:]) is None


def test_the_primary_is_read_only_where_there_is_one() -> None:
    choice = at_primary([A], [ASKED])
    assert (choice.preference.document, choice.answered.member) == ({"mode": "primary"}, "a1")
    with pytest.raises(UnreachableError, match="no primary"):
        at_primary([A[1:]], [None])
