"""Whether a replica set can spare a member, or its primary's lead, from literal answers."""

from dataclasses import replace
from itertools import product

import pytest

from mongo.set_model import Answer, Member, SetConfig, State, Timings
from mongo.spare import cannot_be_without, cannot_hand_over

TIMINGS = Timings(5000, 1000, 5)
NAMES = {f"h{number}": f"shard-a-{number}" for number in range(1, 6)}


def config(*members: Member) -> SetConfig:
    return SetConfig("shard-a", "id", 1, 1, members, TIMINGS)


THREE = config(Member("h1"), Member("h2"), Member("h3"))
ARBITER = config(Member("h1"), Member("h2"), Member("h3", arbiter=True, priority=0))


def answers(shape: SetConfig = THREE, **states: State | int | None) -> list[Answer]:
    """A healthy set led by h1, changed: None is silent, a number is seconds behind."""
    found = []
    for member in shape.members:
        state = State.ARBITER if member.arbiter else State.SECONDARY
        state = State.PRIMARY if member.host == "h1" else state
        answer = Answer(member.host, shape, state, term=3, applied=(100, 1))
        match states.get(member.host, 0):
            case None:
                answer = Answer(member.host, silent=f"{member.host} does not answer")
            case State() as other:
                answer = replace(answer, state=other)
            case int() as seconds:
                answer = replace(answer, applied=(100 - seconds, 1))
        found.append(answer)
    return found


def test_a_healthy_set_can_spare_any_secondary_and_its_lead() -> None:
    assert cannot_be_without(answers(), "h2", NAMES) == ""
    assert cannot_be_without(answers(), "h3", NAMES) == ""
    assert cannot_hand_over(answers(), NAMES) == ""


def test_a_secondary_that_is_down_can_be_spared() -> None:
    assert cannot_be_without(answers(h2=None), "h2", NAMES) == ""


def test_a_primary_hands_over_first() -> None:
    assert cannot_be_without(answers(), "h1", NAMES) == (
        "shard-a-1 is the primary of shard-a: it must hand over first"
    )


def test_no_majority_would_be_left() -> None:
    assert cannot_be_without(answers(h3=None), "h2", NAMES) == (
        "shard-a cannot be without shard-a-2: 1 of 3 votes would be left, which is no majority "
        "(shard-a-3 does not answer)"
    )
    recovering = cannot_be_without(answers(h3=State.RECOVERING), "h2", NAMES)
    assert "shard-a-3 is RECOVERING" in recovering


def test_the_others_must_be_level() -> None:
    assert cannot_be_without(answers(h3=10), "h2", NAMES) == ""
    assert cannot_be_without(answers(h3=11), "h2", NAMES) == (
        "shard-a cannot be without shard-a-2: a majority write needs 2 members with data, and 1 "
        "would be level (shard-a-3 is 11 s behind)"
    )


def test_a_set_of_two_and_an_arbiter_spares_only_the_arbiter() -> None:
    assert cannot_be_without(answers(ARBITER), "h3", NAMES) == ""
    reason = cannot_be_without(answers(ARBITER), "h2", NAMES)
    assert "a majority write needs 2 members with data, and 1 would be level" in reason


def test_a_set_of_one_spares_nothing() -> None:
    one = answers(config(Member("h1")))
    assert "must hand over first" in cannot_be_without(one, "h1", NAMES)
    assert cannot_hand_over(one, NAMES) == (
        "shard-a: no secondary could take over from shard-a-1 (there are no more members)"
    )


def test_without_a_primary_nothing_is_spared() -> None:
    headless = answers(h1=None, h2=None)
    assert cannot_be_without(headless, "h2", NAMES) == (
        "shard-a has no primary: 2 of 3 members do not answer"
    )
    assert cannot_hand_over(headless, NAMES) == (
        "shard-a has no primary: 2 of 3 members do not answer"
    )
    assert "the set has no primary" in cannot_hand_over(answers(h1=None, h2=None, h3=None), NAMES)


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ({"h2": 11, "h3": 12}, "shard-a-2 is 11 s behind, shard-a-3 is 12 s behind"),
        ({"h2": None, "h3": 30}, "shard-a-2 does not answer, shard-a-3 is 30 s behind"),
        ({"h2": State.ROLLBACK, "h3": 30}, "only 2 of 3 votes answer"),
    ],
)
def test_nobody_to_hand_over_to(states: dict[str, State | int | None], says: str) -> None:
    reason = cannot_hand_over(answers(**states), NAMES)
    assert reason
    if "votes" not in says:
        assert says in reason


def test_a_member_that_may_not_be_elected_is_no_heir() -> None:
    shape = config(Member("h1"), Member("h2", priority=0), Member("h3", priority=0))
    assert "no secondary could take over" in cannot_hand_over(answers(shape), NAMES)


def test_no_majority_to_elect_the_heir() -> None:
    five = config(*(Member(f"h{number}") for number in range(1, 6)))
    assert cannot_hand_over(answers(five, h3=None, h4=None), NAMES) == ""
    assert cannot_hand_over(answers(five, h3=None, h4=None, h5=None), NAMES) == (
        "shard-a: only 2 of 5 votes answer"
    )


def test_of_two_primaries_the_newer_one_leads() -> None:
    both = answers(h2=State.PRIMARY)
    both[1] = replace(both[1], term=4)
    assert cannot_be_without(both, "h2", NAMES).startswith("shard-a-2 is the primary")
    assert cannot_be_without(both, "h3", NAMES) == ""


def test_whatever_is_spared_leaves_a_primary_and_a_level_majority() -> None:
    """Every combination of states of a set of five."""
    five = config(*(Member(f"h{number}") for number in range(1, 6)))
    kinds: tuple[State | int | None, ...] = (0, None, 30, State.STARTUP2)
    for chosen in product(kinds, repeat=4):
        found = answers(five, **dict(zip(("h2", "h3", "h4", "h5"), chosen, strict=True)))
        level = sum(kind == 0 for kind in chosen[1:])  # h2 is the one that goes
        assert (cannot_be_without(found, "h2", NAMES) == "") == (1 + level >= 3), chosen
