"""`data`: made-up data in both stores."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.data_check import check
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from skillswap_ops.seeding import Progress, Seeded

LINES_EVERY = 10  # per cent, where there is no terminal


@click.group("data")
def command() -> None:
    """Fill the stores with made-up data, and check what refers to what.

    \b
    Examples:
      skillswap-ops data seed --users 10000
      skillswap-ops data check
    """


command.add_command(check)


@command.command("seed", short_help="Store made-up people and all that they do.")
@click.option(
    "--users",
    type=click.IntRange(1, 10_000_000),
    default=10_000,
    show_default=True,
    help="How many people; about 15 rows each.",
)
@click.option(
    "--seed",
    "number",
    type=click.IntRange(0, 9_999),
    default=1,
    show_default=True,
    help="Which people: the same number gives the same, another one more.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day (UTC) on which the data ends. Default: that of the data that is there under "
    "this seed, else today.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that make and store data. Default: one for two processors.",
)
@selects_cluster
def seed(
    selection: Selection,
    *,
    users: int,
    number: int,
    as_of: datetime | None,
    workers: int | None,
) -> None:
    """Store made-up people, and all that they do, in MongoDB and PostgreSQL.

    French and English speakers in 42 cities with their skills, sessions, messages, reviews,
    groups, badges and payments, consistent across both stores. The same numbers always give the
    same data: what is there already is left alone, so that an interrupted run is finished by
    running it again. It needs the schema: `skillswap-ops schema apply`.

    \b
    Examples:
      skillswap-ops data seed --users 1000
      skillswap-ops data seed --users 200000 --seed 7 --workers 4
      skillswap-ops data seed --users 5000 --as-of 2026-01-31 --output json
    """
    from skillswap_ops import seeding

    day = as_of.date() if as_of else None
    with _shown() as on_progress:
        seeded = seeding.seed(
            selection, users, number, day, workers or seeding.default_workers(), on_progress
        )
    if selection.json:
        console.print_json(_record(seeded))
    else:
        _print(seeded)


def _record(seeded: "Seeded") -> dict[str, object]:
    import dataclasses

    return dataclasses.asdict(seeded) | {"as_of": seeded.as_of.isoformat()}


def _print(seeded: "Seeded") -> None:
    console.print_table(
        ("entity", "store", ">rows", ">added"),
        [(row.entity, row.store, f"{row.rows:,}", f"{row.added:,}") for row in (*seeded.entities,)],
    )
    rate = seeded.added / seeded.seconds if seeded.seconds else 0
    what = f"{seeded.rows:,} rows of {seeded.users:,} users (seed {seeded.seed}, {seeded.as_of})"
    console.say(
        f"{what}: {seeded.added:,} added in {seeded.seconds:.1f} s, {rate:,.0f} rows/s."
        if seeded.added
        else f"{what}: all there, nothing to change ({seeded.seconds:.1f} s)."
    )
    age = (datetime.now(UTC).date() - seeded.as_of).days
    if age > _margin_days():
        console.say(
            f"The data is {age} days old: MongoDB removes journals and events past their retention."
        )


def _margin_days() -> int:
    from cluster.dataset.activity import NOTIFICATIONS_SINCE
    from cluster.schema.sessions_messages import NOTIFICATION_DAYS
    from cluster.schema.types import DAY

    return NOTIFICATION_DAYS - NOTIFICATIONS_SINCE // DAY


@contextmanager
def _shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        with _bar() as on_progress:
            yield on_progress
    else:
        yield _Lines().on_progress


@contextmanager
def _bar() -> "Iterator[Callable[[Progress], None]]":
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} users, {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console.err(), transient=True) as bar:
        task = bar.add_task("seeding", total=None, rows=0)

        def on_progress(progress: "Progress") -> None:
            bar.update(
                task,
                description=_what(progress),
                total=progress.of,
                completed=progress.users,
                rows=progress.rows.total(),
            )

        yield on_progress


class _Lines:
    """A line for every tenth."""

    def __init__(self) -> None:
        self._said = (1, 0)

    def on_progress(self, progress: "Progress") -> None:
        part = 100 * progress.users // progress.of // LINES_EVERY * LINES_EVERY
        if (progress.round, part) > self._said:
            self._said = progress.round, part
            console.say(
                f"{_what(progress)}: {progress.users:,} of {progress.of:,} users, "
                f"{progress.rows.total():,} rows"
            )


def _what(progress: "Progress") -> str:
    return "seeding" if progress.round == 1 else "looking again after an election"
