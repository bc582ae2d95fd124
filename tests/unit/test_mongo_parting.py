"""A member leaves its replica set, from literal answers: what is refused, and each next move."""

from itertools import product
from typing import Any

import pytest

from mongo.former import parse
from mongo.parting import HandOver, next_move
from mongo.replica_set import Nothing, Reconfigure, Wait, next_document
from mongo.set_model import Answer, Member, SetConfig, State, Timings
from mongo.spare import cannot_leave
from tests.unit.test_mongo_spare import answers as spare_answers

TIMINGS = Timings(5000, 1000, 5)
NAMES = {f"h{number}": f"shard-a-{number}" for number in range(1, 6)}


def config(*members: Member, version: int = 7) -> SetConfig:
    document: dict[str, Any] = {
        "_id": "shard-a",
        "version": version,
        "members": [{"_id": n, "host": member.host} for n, member in enumerate(members)],
        "settings": {"of": "the operator"},
    }
    return SetConfig("shard-a", "id", version, 1, members, TIMINGS, document=document)


def of(count: int, version: int = 7) -> SetConfig:
    return config(*(Member(f"h{number}") for number in range(1, count + 1)), version=version)


THREE, FIVE = of(3), of(5)
ARBITER = config(Member("h1"), Member("h2"), Member("h3", arbiter=True, priority=0))


def answers(shape: SetConfig = THREE, **states: State | int | None) -> list[Answer]:
    """Those of `test_mongo_spare`, of a set whose document is known."""
    return spare_answers(shape, **states)


def test_a_secondary_is_left_out_of_the_configuration_and_nothing_else_changes() -> None:
    move = next_move(answers(FIVE), "h5", NAMES)
    assert isinstance(move, Reconfigure)
    assert (move.host, move.why) == ("h1", "shard-a-5 is a member")
    document = next_document(move)
    assert [each["host"] for each in document["members"]] == ["h1", "h2", "h3", "h4"]  # type: ignore[attr-defined]
    assert [each["_id"] for each in document["members"]] == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert (document["version"], document["settings"]) == (8, {"of": "the operator"})


def test_a_primary_steps_down_first() -> None:
    assert next_move(answers(), "h1", NAMES) == HandOver("shard-a-1 leads shard-a")
    heirless = next_move(answers(h2=30, h3=30), "h1", NAMES)
    assert isinstance(heirless, Wait)
    assert "no secondary could take over from shard-a-1" in heirless.why


def test_a_primary_does_not_step_down_for_those_that_could_not_go_on_alone() -> None:
    one_down = answers(h3=None)
    assert cannot_leave(one_down, "h1", NAMES) == (
        "shard-a cannot go on without shard-a-1: of its 2 votes 1 would serve, and of the 2 "
        "members that a majority write needs 1 would be level (shard-a-3 does not answer)"
    )
    assert isinstance(next_move(one_down, "h1", NAMES), Wait)


def test_a_member_that_is_dead_leaves_too() -> None:
    assert isinstance(next_move(answers(FIVE, h5=None), "h5", NAMES), Reconfigure)
    assert isinstance(next_move(answers(h3=None), "h3", NAMES), Reconfigure)


def test_the_others_must_be_well() -> None:
    assert cannot_leave(answers(FIVE, h2=None), "h5", NAMES) == ""
    assert "of its 4 votes 2 would serve" in cannot_leave(
        answers(FIVE, h2=None, h3=None), "h5", NAMES
    )
    assert "shard-a-2 is 11 s behind" in cannot_leave(answers(h2=11), "h3", NAMES)


def test_no_majority_of_what_there_is_could_take_a_new_configuration() -> None:
    reason = cannot_leave(answers(FIVE, h3=None, h4=None, h5=None), "h5", NAMES)
    assert reason.startswith("shard-a cannot be reconfigured: only 2 of 5 votes answer")


def test_the_second_of_two_leaves_while_it_is_well() -> None:
    assert cannot_leave(answers(of(2)), "h2", NAMES) == ""
    assert "only 1 of 2 votes answer" in cannot_leave(answers(of(2), h2=None), "h2", NAMES)


def test_an_arbiter_leaves_only_from_two_that_are_level() -> None:
    assert isinstance(next_move(answers(ARBITER), "h3", NAMES), Reconfigure)
    assert "of the 2 members that a majority write needs 1" in cannot_leave(
        answers(ARBITER, h2=11), "h3", NAMES
    )


def test_without_a_primary_it_waits() -> None:
    move = next_move(answers(h1=None), "h3", NAMES)
    assert move == Wait("shard-a has no primary: 1 of 3 members do not answer")
    silent = next_move(answers(h1=None, h2=None, h3=None), "h3", NAMES)
    assert silent == Wait("the set has no primary: 3 of 3 members do not answer")


def after(**holding: SetConfig | None) -> list[Answer]:
    """Of three members the last one is out, by the primary's word; `holding`: who holds what."""
    given = {"h1": of(2, version=8), "h2": of(2, version=8), "h3": THREE} | holding
    state = {"h1": State.PRIMARY}
    return [
        Answer(host, held, state.get(host, State.SECONDARY), 3, (100, 1))
        if held
        else Answer(host, silent="silent")
        for host, held in given.items()
    ]


def test_it_is_out_once_a_majority_of_the_others_holds_that() -> None:
    words = "2 of 2 votes hold shard-a's configuration without shard-a-3"
    assert next_move(after(), "h3", NAMES) == Nothing(words)
    half = "1 of 2 votes hold shard-a's configuration without shard-a-3"
    assert next_move(after(h2=THREE), "h3", NAMES) == Wait(half)
    assert next_move(after(h2=None), "h3", NAMES) == Wait(half)


def test_its_own_vote_does_not_count_for_that() -> None:
    assert isinstance(next_move(after(h2=THREE, h3=of(2, version=8)), "h3", NAMES), Wait)


@pytest.mark.parametrize("goes", ["h1", "h4"])
def test_whatever_is_done_leaves_a_level_majority_of_those_that_stay(goes: str) -> None:
    """Every combination of states of a set of five."""
    kinds: tuple[State | int | None, ...] = (0, None, 30, State.STARTUP2)
    for chosen in product(kinds, repeat=4):
        states = dict(zip(("h2", "h3", "h4", "h5"), chosen, strict=True))
        move = next_move(answers(FIVE, **states), goes, NAMES)
        stay = [kind for host, kind in (("h1", 0), *states.items()) if host != goes]
        assert isinstance(move, Wait) == (stay.count(0) < 3), states


CONF = """
net: {bindIp: 127.118.50.3, port: 27019}
replication: {replSetName: config}
sharding: {clusterRole: configsvr}
"""


def test_a_member_says_itself_what_it_is() -> None:
    node = parse("config-3", CONF)
    assert (node.name, node.kind, node.group, node.address) == (
        "config-3", "config server", "config", "127.118.50.3"
    )  # fmt: skip
    shard = CONF.replace("configsvr", "shardsvr").replace("config}", "shard-a}")
    assert parse("shard-a-3", shard).kind == "shard"
    assert parse("shard-a-arbiter", shard).kind == "arbiter"
