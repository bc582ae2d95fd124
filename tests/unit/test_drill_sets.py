"""lost, recovered, phantom, duplicate, resurrected: against literal histories and a slow model."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cluster.drill.checkers.leadership import Span
from cluster.drill.checkers.losses import exposure, loss
from cluster.drill.checkers.sets import Counts, compare, count
from cluster.drill.history import empty
from cluster.drill.ledger import op_id
from cluster.drill.outcome import Outcome
from tests.unit.drill_samples import Op, acked, history, ids, ns

ACK, FAIL, UNK, UNSENT = Outcome.ACKED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.UNSENT


def lists(found: object) -> dict[str, list[int]]:
    kinds = ("lost", "phantom", "duplicate", "resurrected")
    return {kind: getattr(found, kind).tolist() for kind in kinds}


NONE: dict[str, list[int]] = {"lost": [], "phantom": [], "duplicate": [], "resurrected": []}


def test_everything_acknowledged_was_read() -> None:
    found = compare(history(acked(1, 2, 3)), ids(2, 0, 1))
    assert lists(found) == NONE
    assert (found.read, found.recovered) == (3, 0)


def test_an_acknowledged_write_that_is_not_read_is_lost() -> None:
    found = compare(history(acked(1, 2, 3)), ids(0, 2))
    assert lists(found) == NONE | {"lost": [op_id(1, 1)]}


def test_an_unknown_write_is_never_lost_and_may_be_recovered() -> None:
    ops = [Op(1, UNK), Op(2, UNK), Op(3, None)]
    found = compare(history(ops), ids(1, 2))
    assert lists(found) == NONE
    assert found.recovered == 2


def test_an_id_that_was_never_attempted_is_a_phantom() -> None:
    read = np.concatenate((ids(0, 7), ids(0, stream=2), np.array([-1, 0, 5], np.int64)))
    found = compare(history(acked(1)), read)
    assert lists(found) == NONE | {"phantom": [-1, 0, 5, op_id(1, 7), op_id(2, 0)]}


def test_an_id_read_twice_is_a_duplicate() -> None:
    found = compare(history([*acked(1, 2), Op(3, UNK)]), ids(0, 1, 1, 2, 2, 2))
    assert lists(found) == NONE | {"duplicate": [op_id(1, 1), op_id(1, 2)]}
    assert found.read == 6


def test_what_provably_failed_or_was_never_sent_must_not_be_there() -> None:
    found = compare(history([Op(1, FAIL), Op(2, UNSENT), Op(3, FAIL)]), ids(0, 1))
    assert lists(found) == NONE | {"resurrected": [op_id(1, 0), op_id(1, 1)]}


def test_the_stream_number_is_part_of_the_id() -> None:
    found = compare(history(acked(1), number=3), ids(0, stream=3))
    assert lists(found) == NONE


def test_nothing_attempted_nothing_read() -> None:
    assert lists(compare(empty(1), ids())) == NONE
    assert lists(compare(empty(1), ids(0))) == NONE | {"phantom": [op_id(1, 0)]}


def test_defects_are_cut_to_a_limit_each() -> None:
    found = compare(history(acked(1, 2, 3, 4)), ids(0, 0, 9))
    assert found.defects(2) == (op_id(1, 1), op_id(1, 2), op_id(1, 9), op_id(1, 0))


def test_counts() -> None:
    ops = [Op(1), Op(2), Op(3, FAIL), Op(4, UNK), Op(5, None), Op(6, UNSENT)]
    assert count(history(ops)) == Counts(2, 1, 2, 1)


OUTCOMES = st.sampled_from([ACK, FAIL, UNK, UNSENT, None])


@given(
    st.lists(OUTCOMES, max_size=12),
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 14)), max_size=25),
)
def test_like_the_obvious_model(
    outcomes: list[Outcome | None], read: list[tuple[int, int]]
) -> None:
    ops = {op_id(1, n): outcome for n, outcome in enumerate(outcomes)}
    times = Counter(op_id(stream, n) for stream, n in read)
    found = compare(
        history([Op(n + 1, outcome) for n, outcome in enumerate(outcomes)]),
        np.array(list(times.elements()), np.int64),
    )
    unknowns = {op for op, outcome in ops.items() if outcome in {None, UNK}}
    assert lists(found) == {
        "lost": sorted(op for op, outcome in ops.items() if outcome is ACK and op not in times),
        "phantom": sorted(op for op in times if op not in ops),
        "duplicate": sorted(op for op in times if op in ops and times[op] > 1),
        "resurrected": sorted(
            op for op, outcome in ops.items() if outcome in {FAIL, UNSENT} and op in times
        ),
    }
    assert found.recovered == len(unknowns & set(times))
    assert found.read == len(read)


def test_rpo_reaches_from_the_oldest_lost_ack_to_the_fault() -> None:
    ops = history(acked(10, 11, 12, 13))
    found = loss(ops, ids(1, 2), ns(20), ())
    assert (found.count, found.unprotected, round(found.seconds, 3)) == (2, 0, 8.99)


def test_rpo_reaches_to_the_newest_lost_ack_where_that_is_later() -> None:
    ops = history(acked(10, 21, 25))
    assert round(loss(ops, ids(1, 2), ns(20), ()).seconds, 3) == 4.0
    assert round(loss(ops, ids(0, 2), ns(20), ()).seconds, 3) == 15.0
    assert round(loss(ops, ids(0, 2), None, ()).seconds, 3) == 15.0


def test_no_loss_is_no_rpo() -> None:
    assert loss(history(acked(1)), ids(), ns(5), ()).seconds == 0


def test_losses_while_unprotected_are_told_apart() -> None:
    ops = history(acked(10, 21, 25, 30))
    found = loss(ops, ids(0, 1, 2, 3), ns(20), (Span(ns(20), ns(24)), Span(ns(29), ns(31))))
    assert (found.count, found.unprotected) == (4, 2)


def test_exposure_counts_to_the_last_ack_of_each_span() -> None:
    ops = history([*acked(10, 21, 22), Op(23, UNK), *acked(40)])
    found = exposure(ops, (Span(ns(20), ns(30)), Span(ns(32), ns(35)), Span(ns(39), ns(60))))
    assert found.acked == 3
    assert round(found.seconds, 3) == round((22.01 - 20) + (40.01 - 39), 3)
