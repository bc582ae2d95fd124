"""Who led, and whether two did."""

import pytest

from cluster.drill.checkers.leadership import (
    Span,
    SplitBrain,
    detected_ns,
    effect_missing,
    elected_ns,
    split_brains,
    unprotected,
)
from cluster.drill.contracts import Effect
from cluster.drill.timeline import Sample
from tests.unit.drill_samples import ns, sample

BEFORE = sample(0, "a1", epoch=1)
LOST = sample(21, epoch=1, detected_down=True)
NEXT = sample(24, "a2", epoch=2)
FAULT = ns(20)


def test_a_failover_has_its_stamps() -> None:
    samples = [BEFORE, LOST, NEXT]
    assert detected_ns(samples, FAULT) == ns(21)
    assert elected_ns(samples, FAULT) == ns(24)
    assert effect_missing(samples, FAULT, Effect.NEW_LEADER) == ""


def test_an_election_is_also_a_detection() -> None:
    assert detected_ns([BEFORE, NEXT], FAULT) == ns(24)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        ([], "nobody was seen to lead before the fault"),
        ([NEXT], "nobody was seen to lead before the fault"),
        ([sample(0, epoch=1), NEXT], "nobody was seen to lead before the fault"),
        ([BEFORE], "no other leader than a1 was seen in a higher epoch"),
        ([BEFORE, LOST], "no other leader than a1 was seen in a higher epoch"),
        ([BEFORE, LOST, BEFORE], "no other leader than a1 was seen in a higher epoch"),
        # the same node again, elected once more
        ([BEFORE, sample(24, "a1", epoch=2)], "no other leader than a1 was seen in a higher epoch"),
        # another node that nobody elected
        ([BEFORE, sample(24, "a2", epoch=1)], "no other leader than a1 was seen in a higher epoch"),
        ([BEFORE, sample(24, "a2")], "no other leader than a1 was seen in a higher epoch"),
        # the sample began before the fault
        ([BEFORE, sample(20.01, "a2", epoch=2)], "no other leader than a1"),
    ],
)
def test_no_failover_is_no_effect(samples: list[Sample], why: str) -> None:
    assert effect_missing(samples, FAULT, Effect.NEW_LEADER).startswith(why)
    assert elected_ns(samples, FAULT) is None


def test_a_restart_keeps_its_leader() -> None:
    same = [BEFORE, LOST, sample(23, "a1", epoch=1)]
    assert effect_missing(same, FAULT, Effect.SAME_LEADER) == ""
    moved = [BEFORE, LOST, NEXT]
    assert effect_missing(moved, FAULT, Effect.SAME_LEADER) == (
        "a2 led in epoch 2, where the leader should have stayed"
    )
    again = [BEFORE, LOST, sample(23, "a1", epoch=2)]
    assert "a1 led in epoch 2" in effect_missing(again, FAULT, Effect.SAME_LEADER)


def test_any_effect_will_do() -> None:
    assert effect_missing([], FAULT, Effect.ANY) == ""


def test_two_leaders_twice_running_are_a_split_brain() -> None:
    both = [sample(at, "a1", "a2") for at in (22, 22.1, 22.2)]
    assert split_brains([BEFORE, *both, NEXT]) == (
        SplitBrain(ns(22), ("a1", "a2"), confirmed=True),
    )


def test_two_leaders_in_one_sample_may_be_a_handover() -> None:
    assert split_brains([BEFORE, sample(22, "a1", "a2"), NEXT]) == (
        SplitBrain(ns(22), ("a1", "a2"), confirmed=False),
    )


def test_sightings_apart_do_not_confirm_each_other() -> None:
    samples = [sample(22, "a1", "a2"), NEXT, sample(30, "a1", "a2")]
    assert [sighting.confirmed for sighting in split_brains(samples)] == [False, False]


def test_different_pairs_do_not_confirm_each_other() -> None:
    samples = [sample(22, "a1", "a2"), sample(22.1, "a2", "a3")]
    assert [sighting.confirmed for sighting in split_brains(samples)] == [False, False]


def test_one_leader_after_another_is_no_split_brain() -> None:
    assert split_brains([BEFORE, LOST, NEXT, BEFORE]) == ()


def test_unprotected_is_what_is_certain() -> None:
    samples = [
        sample(0, "p", protected=True),
        sample(10, "p", protected=False),
        sample(12, "p", protected=False, detected_down=True),
        sample(15, "p", protected=True),
        sample(20, "p", protected=False),
        sample(21),  # nobody answered
        sample(30, "p", protected=False),
    ]
    assert unprotected(samples, ns(50)) == (
        Span(ns(10), ns(14.95)),
        Span(ns(20), ns(20.95)),
        Span(ns(30), ns(50)),
    )


def test_engines_without_the_notion_are_never_unprotected() -> None:
    assert unprotected([BEFORE, LOST, NEXT], ns(50)) == ()
