"""What a restore to an instant may lack and hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.drill.checkers.instant import Held, held_to, judged
from cluster.drill.history import History, empty
from cluster.drill.ledger import op_id
from cluster.drill.outcome import Outcome
from cluster.drill.verdict import Validity
from skillswap_ops.one_instant import OneInstant
from skillswap_ops.restore_drills.checks import _references

# sent, done, outcome; the instant is 100, the data was destroyed at 200
OPERATIONS = [
    (10, 20, Outcome.ACKED),  # 0: by the instant
    (90, 100, Outcome.ACKED),  # 1: just by it
    (95, 110, Outcome.ACKED),  # 2: under way at it
    (101, 120, Outcome.ACKED),  # 3: after it
    (150, 160, Outcome.UNKNOWN),  # 4: after it
    (150, 250, Outcome.ACKED),  # 5: sent before the destruction, acknowledged after it
    (300, 310, Outcome.ACKED),  # 6: to the restored data
    (0, 0, Outcome.UNSENT),  # 7
]


def history() -> History:
    made = empty(1, len(OPERATIONS))
    for number, (sent, done, outcome) in enumerate(OPERATIONS):
        made.sent[number], made.done[number], made.outcome[number] = sent, done, outcome
    return made


def read(*numbers: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([op_id(1, number) for number in numbers], np.int64)


def test_all_of_before_and_nothing_of_after() -> None:
    assert held_to(history(), read(0, 1), 100, 200) == Held(2, 0, 2, 0)


@pytest.mark.parametrize("also", [2, 5, 6])
def test_what_was_under_way_and_what_came_later_may_be_there(also: int) -> None:
    assert held_to(history(), read(0, 1, also), 100, 200).kept == 0


def test_a_missing_one_and_a_kept_one_are_counted() -> None:
    assert held_to(history(), read(0), 100, 200).missing == 1
    assert held_to(history(), read(0, 1, 3), 100, 200).kept == 1
    assert held_to(history(), read(0, 1, 4), 100, 200).kept == 1


def test_in_a_copy_beside_the_cluster_everything_sent_later_is_too_much() -> None:
    assert held_to(history(), read(0, 1, 6), 100) == Held(2, 0, 4, 1)


@pytest.mark.parametrize(
    ("held", "validity"),
    [
        (Held(5, 0, 5, 0), Validity.VALID),
        (Held(5, 1, 5, 0), Validity.INVALID),
        (Held(5, 0, 5, 1), Validity.INVALID),
        (Held(0, 0, 5, 0), Validity.UNKNOWN),
        (Held(5, 0, 0, 0), Validity.UNKNOWN),
    ],
)
def test_too_few_to_tell_is_no_pass(held: Held, validity: Validity) -> None:
    assert judged("check", held, "stream", "took").validity is validity


def noted(before: dict[str, int] | None, after: dict[str, int] | None) -> OneInstant:
    at = json.loads('{"at": "2026-11-26T00:00:00Z"}')["at"]
    return OneInstant(at=at, at_ns=1, seconds=1.0, before=before, after=after)


@pytest.mark.parametrize(
    ("before", "after", "validity"),
    [
        ({}, {}, Validity.VALID),
        ({"a": 2}, {"a": 2}, Validity.VALID),
        ({"a": 2}, {"a": 3}, Validity.INVALID),
        ({}, {"b": 1}, Validity.INVALID),
        ({"a": 2}, {}, Validity.VALID),
        (None, {}, Validity.UNKNOWN),
        ({}, None, Validity.UNKNOWN),
    ],
)
def test_an_orphan_that_was_not_there_before_is_a_fail(
    before: dict[str, int] | None, after: dict[str, int] | None, validity: Validity
) -> None:
    assert _references(noted(before, after)).validity is validity


def test_the_file_of_a_run_is_where_the_check_looks(tmp_path: Path) -> None:
    text = noted({}, {}).model_dump_json()
    assert OneInstant.model_validate_json(text) == noted({}, {})
