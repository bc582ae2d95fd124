"""Everything printed: tables on stdout, messages on stderr, JSON that parses."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 100


@cache
def out() -> "Console":
    """Stdout, for results. Colours only on a terminal; tables fit 100 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


@cache
def err() -> "Console":
    """Stderr, for messages and progress."""
    from rich.console import Console

    return Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH, highlight=False)


def say(message: str) -> None:
    """A message to the person; never on stdout."""
    click.echo(message, err=True)


def note(message: str) -> None:
    """A message to the person while progress is drawn: above it, and never on stdout."""
    err().print(message, markup=False, soft_wrap=True)


def table(*columns: str, title: str | None = None) -> "Table":
    """An empty table; a column named with a leading `>` is right-aligned."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        made.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
        )
    return made


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """A table of plain text on stdout."""
    from rich.text import Text

    made = table(*columns, title=title or None)
    for row in rows:
        made.add_row(*(Text.from_ansi(cell) for cell in row))
    out().print(made)


def print_json(value: object) -> None:
    """One JSON document on stdout; dataclasses are objects."""
    click.echo(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (PurePath, Exception)):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
