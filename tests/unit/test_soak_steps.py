"""A soak's steps: written down, read again, and shrunk to those that a failure needs."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.drill.checkers.rounds import ROUNDS, failing_round
from cluster.drill.contracts import Round, Rounds, Step
from cluster.drill.events import Event, Happening, Note, RoundBegan
from cluster.drill.rounds import plan
from cluster.drill.shrink import Shrunk, shrink
from cluster.drill.steps import begun, parse_steps, text_of, unknown_names
from cluster.drill.verdict import invalid, unknown, valid
from cluster.errors import InvalidInputError

POOL = (Round("kill", ()), Round("restart", (), lasts=False))


@given(
    st.lists(
        st.builds(
            Step,
            st.from_regex(r"\A[a-z][a-z0-9-]{0,12}\Z"),
            st.integers(0, 36_000).map(lambda tenths: tenths / 10),
            st.integers(0, 2**32 - 1),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_steps_that_are_written_are_read_again(steps: list[Step]) -> None:
    assert parse_steps(text_of(steps)) == tuple(steps)


def test_hold_and_seed_may_be_left_out() -> None:
    assert parse_steps("a, b:2.5 c:3:4") == (Step("a", 10, 0), Step("b", 2.5, 0), Step("c", 3, 4))


@pytest.mark.parametrize(
    "text", ["", " , ", "A", "a:b", "a:1:2:3", "a:-1", "a:3601", "a:1e3", "a;b", "a:1:99999999999"]
)
def test_what_is_no_step_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_steps(text)


def test_names_that_are_not_in_the_pool_are_told_once() -> None:
    steps = parse_steps("kill,kll,restart,kll")
    assert unknown_names(steps, ["kill", "restart"]) == ("kll",)


def test_given_steps_are_the_plan() -> None:
    steps = parse_steps("restart:9:1,kill:2:3")
    planned = list(plan(Rounds(POOL, 60, (1, 5), steps), Random(1)))
    assert [(each.number, each.what.name, each.hold, each.seed) for each in planned] == [
        (1, "restart", 0, 1),  # work does not last
        (2, "kill", 2, 3),
    ]


def test_what_was_drawn_can_be_planned_again_from_its_words() -> None:
    drawn = list(islice(plan(Rounds(POOL, 60, (1, 5)), Random(7)), 20))
    told = [_event(RoundBegan(number=p.number, name=p.what.name, hold=p.hold, seed=p.seed))
            for p in drawn]  # fmt: skip
    steps = begun([*told, _event(Note(text="x"))])
    again = list(plan(Rounds(POOL, 60, (1, 5), parse_steps(text_of(steps))), Random(8)))
    assert [(p.what.name, p.seed, round(p.hold, 1)) for p in drawn] == [
        (p.what.name, p.seed, p.hold) for p in again
    ]


def test_a_run_without_seeds_has_no_steps() -> None:
    assert begun([_event(RoundBegan(number=1, name="kill", hold=1))]) == ()


def _event(what: Happening) -> Event:
    return Event(ns=0, utc=datetime.now(UTC), what=what)


def test_the_first_broken_round_is_found_by_its_number() -> None:
    findings = [
        valid(ROUNDS, "", "round 1, kill"),
        unknown(ROUNDS, "", "round 2, kill"),
        invalid("sets", "", "round 3, kill"),
        invalid(ROUNDS, "", "round 12, kill"),
        invalid(ROUNDS, "", "round 9, restart"),
    ]
    assert failing_round(findings) == 9
    assert failing_round(findings[:3]) is None


# Shrinking


def needs(*wanted: int) -> Callable[[tuple[int, ...]], bool]:
    """Fails where all of these come, in this order."""

    def fails(steps: tuple[int, ...]) -> bool:
        left = iter(steps)
        return all(each in left for each in wanted)

    return fails


@pytest.mark.parametrize(
    ("wanted", "tries"), [((19,), 1), ((7,), 12), ((3, 19), 40), ((0, 9, 10), 60)]
)
def test_what_a_failure_needs_is_left(wanted: tuple[int, ...], tries: int) -> None:
    found = shrink(range(20), needs(*wanted), 1000)
    assert found == Shrunk(wanted, found.tries, reproduced=True, minimal=True)
    assert found.tries <= tries


@given(st.integers(1, 24), st.data())
def test_what_is_left_fails_and_nothing_of_it_can_go(length: int, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.integers(0, length - 1), min_size=1))
    fails = needs(*sorted(wanted))
    found = shrink(range(length), fails, 10_000)
    assert found.steps == tuple(sorted(wanted))
    if len(wanted) == length > 1:
        assert not found.reproduced  # no part fails: the whole is what is known
    else:
        assert (found.minimal, found.reproduced) == (length > 1, length > 1)


@given(st.integers(2, 24), st.integers(0, 12), st.data())
def test_tries_are_bounded_and_none_is_made_twice(
    length: int, most: int, data: st.DataObject
) -> None:
    fails, tried = needs(*sorted(data.draw(st.sets(st.integers(0, length - 1), min_size=1)))), []

    def noted(steps: tuple[int, ...]) -> bool:
        tried.append(steps)
        return fails(steps)

    found = shrink(range(length), noted, most)
    assert len(tried) == len(set(tried)) == found.tries <= most
    assert found.steps == tuple(range(length)) or fails(found.steps)
    assert found.reproduced == any(map(fails, tried))


def test_a_failure_that_does_not_come_again_leaves_the_whole() -> None:
    found = shrink(range(4), lambda _: False, 100)
    assert found == Shrunk((0, 1, 2, 3), found.tries, reproduced=False, minimal=False)


def test_one_step_is_short_enough() -> None:
    assert shrink([1], lambda _: True, 5) == Shrunk((1,), 0, reproduced=False, minimal=False)
