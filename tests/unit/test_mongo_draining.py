"""What keeps a shard in its cluster, from literal metadata."""

import pytest

from mongo.draining import MOVES, Kept, cannot_leave, named, strays
from mongo.servers import RouterKind

PLACES = {"users_skills": "shard-a", "sessions_messages": "shard-b"}
ROUTER = RouterKind.SEGMENT_ROUTER


@pytest.mark.parametrize("router", RouterKind)
def test_a_shard_on_which_a_database_lives_stays(router: RouterKind) -> None:
    assert cannot_leave("shard-b", PLACES, {}, router, balances=True) == Kept(
        "sessions_messages lives on shard-b", MOVES[router]
    )
    two = {**PLACES, "reports": "shard-b"}
    kept = cannot_leave("shard-b", two, {}, router, balances=True)
    assert kept
    assert kept.why == "reports, sessions_messages live on shard-b"


def test_an_empty_shard_leaves() -> None:
    assert cannot_leave("shard-c", PLACES, {}, ROUTER, balances=True) is None


def test_what_was_written_past_the_routers_keeps_it() -> None:
    kept = cannot_leave("shard-c", PLACES, {"lost.rows": 3}, ROUTER, balances=True)
    assert kept
    assert kept.why == "shard-c holds what was written past the routers: 3 documents in lost.rows"


def test_without_the_balancer_nothing_would_be_drained() -> None:
    kept = cannot_leave("shard-c", PLACES, {}, ROUTER, balances=False)
    assert kept == Kept(
        "the balancer is off: nothing would move the chunks of shard-c", "`sh.startBalancer()`"
    )


def test_only_what_no_router_looks_for_there_is_astray() -> None:
    held = {
        "sessions_messages.sessions": 9,  # sharded: a part of it may be anywhere
        "sessions_messages.messages": 4,  # whole, and its database lives on shard-b
        "users_skills.users": 2,
        "test.rows": 1,
    }
    sharded = frozenset({"sessions_messages.sessions"})
    assert strays(held, sharded, PLACES, "shard-c") == {
        "sessions_messages.messages": 4,
        "users_skills.users": 2,
        "test.rows": 1,
    }
    assert strays(held, sharded, PLACES, "shard-b") == {"users_skills.users": 2, "test.rows": 1}


def test_many_collections_are_named_in_one_line() -> None:
    found = {f"lost.rows{number}": number for number in range(1, 8)}
    assert named(found) == (
        "1 documents in lost.rows1, 2 documents in lost.rows2, 3 documents in lost.rows3, "
        "4 documents in lost.rows4, 5 documents in lost.rows5 and 2 more collections"
    )
