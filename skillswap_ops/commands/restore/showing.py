"""How a finished restore is shown."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection

if TYPE_CHECKING:
    from cluster.backup.contracts import Restored


def show(selection: Selection, done: "Restored") -> None:
    """As JSON or as a line, with how to go on."""
    if selection.json:
        console.print_json(record(done))
    else:
        show_line(done)


def show_line(done: "Restored") -> None:
    """What was restored, and how to go on."""
    reached = f"as it was at {done.reached.isoformat()}" if done.reached else "no commit"
    click.echo(f"{done.engine}: restored from {done.label} in {done.seconds:.1f} s; {reached}")
    click.echo(done.how)


def record(done: "Restored") -> dict[str, object]:
    """The same for a program."""
    return {
        "engine": done.engine,
        "backup": done.label,
        "reached": done.reached.isoformat() if done.reached else None,
        "seconds": round(done.seconds, 1),
        "bytes": done.bytes_restored,
        "folder": done.folder,
        "how": done.how.splitlines(),
    }
