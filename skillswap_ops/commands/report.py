"""`report`: what the replicas say, and how old it is."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from skillswap_ops import console
from skillswap_ops.answering import PRIMARY, freshness_record, freshness_text, from_option
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from datetime import datetime

    from mongo.reports import SessionCount
    from postgres.reports import Revenue
    from skillswap_ops.reporting import Report

Row = TypeVar("Row")

MONTHS = click.option(
    "--months",
    type=click.IntRange(1, 1200),
    default=12,
    show_default=True,
    help="How many months, the current one included.",
)


@click.group("report")
def command() -> None:
    """Answer from the replicas, and say how old the answer is.

    MongoDB is read with read preference `secondary`, PostgreSQL on a standby. Each report names who
    answered and how far it was behind the primary. Where no replica can answer it is refused;
    `--from primary` asks the primaries.

    \b
    Examples:
      skillswap-ops report reputation --top 5
      skillswap-ops report sessions --months 3
      skillswap-ops report revenue --output json
    """


@command.command("reputation")
@click.option("--top", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option(
    "--least",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many reviews a teacher must have to be ranked.",
)
@from_option
@selects_cluster
def reputation(selection: Selection, *, top: int, least: int, origin: str) -> None:
    """Rank teachers by the mean of their stars: sessions given, reviews, each criterion."""
    from skillswap_ops.reporting import reputation as ask
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    report = ask(context, top=top, least=least, primary=origin == PRIMARY)
    _show(
        selection,
        report,
        (
            "teacher",
            ">given",
            ">reviews",
            ">stars",
            ">punctual",
            ">pedagogy",
            ">motiv.",
            ">commun.",
        ),
        [
            (
                row.name or row.id,
                f"{row.sessions:,}",
                f"{row.reviews:,}",
                *(f"{mean:.2f}" for mean in (row.stars, row.punctuality, row.pedagogy)),
                *(f"{mean:.2f}" for mean in (row.motivation, row.communication)),
            )
            for row in report.rows
        ],
    )


@command.command("sessions")
@MONTHS
@from_option
@selects_cluster
def sessions(selection: Selection, *, months: int, origin: str) -> None:
    """Count sessions by the month in which they begin (UTC) and by status."""
    from skillswap_ops.reporting import sessions as ask
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    report = ask(context, since=_since(months), primary=origin == PRIMARY)
    columns, rows = by_month(report.rows)
    _show(selection, report, columns, rows)


@command.command("revenue")
@MONTHS
@from_option
@selects_cluster
def revenue(selection: Selection, *, months: int, origin: str) -> None:
    """Sum invoices by month of issue (UTC) and currency: paid, of that refunded, what stayed."""
    from cluster.money import money
    from skillswap_ops.reporting import revenue as ask
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    report = ask(context, since=_since(months), primary=origin == PRIMARY)
    _show(
        selection,
        report,
        ("month", "currency", ">invoices", ">paid", ">refunds", ">refunded", ">net"),
        [
            (
                row.month,
                row.currency,
                f"{row.invoices:,}",
                money(row.paid, row.currency),
                f"{row.refunds:,}",
                money(row.refunded, row.currency),
                money(row.net, row.currency),
            )
            for row in report.rows
        ],
        _revenue_record,
    )


@command.command("subscriptions")
@from_option
@selects_cluster
def subscriptions(selection: Selection, *, origin: str) -> None:
    """Count subscriptions by offer and status."""
    from skillswap_ops.reporting import subscriptions as ask
    from skillswap_ops.wiring import local_context

    report = ask(local_context(selection, must_exist=True), primary=origin == PRIMARY)
    rows = [(row.offer, row.status, f"{row.subscriptions:,}") for row in report.rows]
    _show(selection, report, ("offer", "status", ">subscriptions"), rows)


def by_month(
    counts: "Sequence[SessionCount]",
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a table: a row a month, a column a status, and their sum."""
    from mongo.reports import STATES

    seen = {one.status for one in counts}
    statuses = [status for status in STATES if status in seen]
    found = {(one.month, one.status): one.sessions for one in counts}
    months = dict.fromkeys(one.month for one in counts)
    rows = []
    for month in months:
        cells = [found.get((month, status), 0) for status in statuses]
        rows.append((month, *(f"{cell:,}" for cell in cells), f"{sum(cells):,}"))
    return ("month", *(f">{status}" for status in statuses), ">all"), rows


def _revenue_record(row: "Revenue") -> dict[str, object]:
    """Amounts as minor units, and as text without a float between."""
    from cluster.money import money

    amounts = {"paid": row.paid, "refunded": row.refunded, "net": row.net}
    return {
        "month": row.month,
        "currency": row.currency,
        "invoices": row.invoices,
        "refunds": row.refunds,
        **{f"{name}_minor": amount for name, amount in amounts.items()},
        **{name: money(amount, row.currency).replace(",", "") for name, amount in amounts.items()},
    }


def _since(months: int) -> "datetime":
    from datetime import UTC, datetime

    from skillswap_ops.reporting import first_of_month

    return first_of_month(datetime.now(UTC), months)


def _show(
    selection: Selection,
    report: "Report[Row]",
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    record: Callable[[Row], object] = lambda row: row,
) -> None:
    if selection.json:
        made = [record(row) for row in report.rows]
        console.print_json({**freshness_record(report.sources), "rows": made})
        return
    if rows:
        console.print_table(columns, rows)
    else:
        click.echo("nothing to report")
    click.echo(freshness_text(report.sources))
