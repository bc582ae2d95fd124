"""Outages and restoration: against literal histories and a slow model."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.drill.checkers.availability import (
    Outage,
    Restoration,
    Steady,
    acked_between,
    first_success_ns,
    outages,
    restoration,
)
from cluster.drill.outcome import Outcome
from tests.unit.drill_samples import Op, history, ns

TEN = Steady(10, 99)


def find(good: str, since: int = 0, until: int | None = None, steady: Steady = TEN) -> list[Outage]:
    """One operation a tick: `+` good, `-` not, `.` none due."""
    due = np.array([tick for tick, mark in enumerate(good) if mark != "."], np.int64)
    flags = np.array([mark == "+" for mark in good if mark != "."], np.bool_)
    return list(outages(due, flags, since, len(good) if until is None else until, steady))


@pytest.mark.parametrize(
    ("good", "since", "found"),
    [
        ("+" * 40, 5, []),
        ("-" * 40, 5, [Outage(5, None)]),
        ("+" * 5 + "-" * 7 + "+" * 30, 5, [Outage(5, 12)]),
        # the first bad operation comes later than the fault: the outage counts from the fault
        ("+" * 8 + "-" * 4 + "+" * 30, 5, [Outage(5, 12)]),
        # up for a whole window first: the outage counts from its first bad operation
        ("+" * 16 + "-" * 4 + "+" * 20, 5, [Outage(16, 20)]),
        ("+" * 5 + "-" * 7 + "+" * 9 + "-" + "+" * 30, 5, [Outage(5, 22)]),
        ("+" * 5 + "-" * 7 + "+" * 10 + "-" + "+" * 30, 5, [Outage(5, 12), Outage(22, 23)]),
        ("+" * 5 + "-" * 7 + "+" * 20 + "-" * 9, 5, [Outage(5, 12), Outage(32, None)]),
        # too short to say
        ("+" * 14, 5, [Outage(5, None)]),
        ("+" * 15, 5, []),
        # nothing was due at all
        ("+" * 5 + "." * 30, 5, [Outage(5, None)]),
        ("+" * 5 + "-" * 5 + "." * 20, 5, [Outage(5, None)]),
        ("", 0, [Outage(0, None)]),
    ],
)
def test_outages(good: str, since: int, found: list[Outage]) -> None:
    assert find(good, since) == found


def test_a_window_may_hold_its_share_of_bad_operations() -> None:
    steady = Steady(10, 80)
    assert find("+" * 3 + "--" + "+" * 20, 0, None, steady) == []
    assert find("+" * 3 + "---" + "+" * 20, 0, None, steady) == [Outage(0, 6)]


def slow(good: str, since: int, until: int, steady: Steady) -> list[Outage]:
    """The definition, word for word."""

    def window(at: int) -> str:
        return good[at : at + steady.window_ns].replace(".", "")

    def holds(at: int) -> bool:
        marks = window(at)
        share = Fraction(marks.count("+"), len(marks) or 1)
        return marks != "" and share >= Fraction(steady.percent, 100)

    if since + steady.window_ns > until:
        return [Outage(since, None)]
    times = [since] + [
        tick
        for tick, mark in enumerate(good)
        if mark != "." and tick >= since and tick + steady.window_ns <= until
    ]
    found: list[Outage] = []
    down_since: int | None = None
    for number, at in enumerate(times):
        if down_since is None and not holds(at):
            bad = [tick for tick, mark in enumerate(good) if mark == "-" and tick >= at]
            down_since = since if number == 0 else (bad or [at])[0]
        elif down_since is not None and holds(at) and window(at)[0] == "+":
            found.append(Outage(down_since, at))
            down_since = None
    return found + ([Outage(down_since, None)] if down_since is not None else [])


RUNS = st.lists(st.tuples(st.sampled_from("++-."), st.integers(1, 15)), max_size=9)


@given(RUNS, st.integers(0, 20), st.integers(1, 12), st.integers(50, 100))
def test_like_the_slow_model(
    runs: list[tuple[str, int]], since: int, window: int, percent: int
) -> None:
    good = "".join(mark * length for mark, length in runs)
    steady = Steady(window, percent)
    assert find(good, since, len(good), steady) == slow(good, since, len(good), steady)


@given(st.text("+-", min_size=12, max_size=60), st.integers(0, 20))
def test_the_first_outage_ends_at_the_earliest_sustained_time(good: str, since: int) -> None:
    """DRILLS' definition of sustained, where nothing fails late."""
    held = [
        at
        for at in range(since, len(good) - 9)
        if good[at : at + 10].count("+") >= Fraction(99, 100) * 10
    ]
    found = find(good, since)
    first = found[0].end_ns if found and found[0].start_ns == since else since
    if found and found[0].start_ns == since and not held:
        assert first is None
    elif held:
        assert first == held[0]


@pytest.mark.parametrize(
    ("found", "elected", "restored"),
    [
        ([], None, Restoration(5, ())),
        ([], 9, Restoration(5, ())),
        ([Outage(5, 12)], 9, Restoration(12, ())),
        ([Outage(5, None)], 9, Restoration(None, ())),
        ([Outage(5, 12), Outage(30, 31)], 9, Restoration(12, (Outage(30, 31),))),
        # a lease that ran out first: the outage began long after the fault, before the election
        ([Outage(25, 40)], 30, Restoration(40, ())),
        ([Outage(5, 7), Outage(25, None)], 30, Restoration(None, ())),
        ([Outage(25, 40)], None, Restoration(5, (Outage(25, 40),))),
        # counted from an undo that came after the election
        ([Outage(5, 12)], 2, Restoration(12, ())),
    ],
)
def test_restoration(found: list[Outage], elected: int | None, restored: Restoration) -> None:
    assert restoration(tuple(found), 5, elected) == restored


def test_first_success_is_of_what_was_sent_after_the_fault() -> None:
    ops = history(
        [
            Op(19, done=23),  # sent before: its late ack proves nothing
            Op(20.5, Outcome.FAILED),
            Op(21, sent=21.4, done=26),
            Op(22, done=25.5),
        ]
    )
    assert first_success_ns(ops, ns(20)) == ns(25.5)
    assert first_success_ns(ops, ns(23)) is None


def test_acks_are_counted_by_when_they_were_sent() -> None:
    ops = history([Op(19, done=23), Op(20), Op(21, Outcome.UNKNOWN), Op(22), Op(30)])
    assert acked_between(ops, ns(20), ns(30)) == 2


def test_good_is_measured_from_due() -> None:
    ops = history([Op(1), Op(2, sent=2.9, done=3.01), Op(3, Outcome.FAILED), Op(4, done=5)])
    assert ops.good(1_000_000_000).tolist() == [True, False, False, True]
