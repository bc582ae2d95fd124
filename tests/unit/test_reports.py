"""How reports are drawn: months, money, tables."""

from datetime import UTC, datetime

import pytest

from cluster.money import money
from mongo.reports import SessionCount
from postgres.reports import Revenue
from skillswap_ops.commands.report import by_month
from skillswap_ops.reporting import first_of_month


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (0, "0.00"),
        (5, "0.05"),
        (-5, "-0.05"),
        (123405, "1,234.05"),
        (9_007_199_254_740_993, "90,071,992,547,409.93"),  # 2^53 + 1: a float has it not
    ],
)
def test_money_is_exact(minor: int, text: str) -> None:
    assert money(minor, "EUR") == text


def test_net_is_what_was_not_paid_back() -> None:
    assert Revenue("2026-03", "EUR", 3, 3000, 1, 1000).net == 2000


@pytest.mark.parametrize(
    ("months", "first"),
    [(1, (2026, 3)), (3, (2026, 1)), (4, (2025, 12)), (16, (2024, 12))],
)
def test_months_are_counted_back_with_the_current_one(months: int, first: tuple[int, int]) -> None:
    assert first_of_month(datetime(2026, 3, 31, 23, tzinfo=UTC), months) == datetime(
        *first, 1, tzinfo=UTC
    )


def test_a_row_a_month_a_column_a_status() -> None:
    counts = (
        SessionCount("2026-02", "REALISEE", 1500),
        SessionCount("2026-03", "PROPOSEE", 2),
        SessionCount("2026-03", "REALISEE", 4),
    )
    assert by_month(counts) == (
        ("month", ">PROPOSEE", ">REALISEE", ">all"),
        [("2026-02", "0", "1,500", "1,500"), ("2026-03", "2", "4", "6")],
    )


def test_no_sessions_no_rows() -> None:
    assert by_month(()) == (("month", ">all"), [])
