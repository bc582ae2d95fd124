"""`backup list`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.backup.run import ENGINE
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from datetime import datetime

    from cluster.backup.contracts import Backup

KIB = 1024.0


@click.command("list")
@ENGINE
@selects_cluster
def list_backups(selection: Selection, *, engines: tuple[str, ...]) -> None:
    """List the finished backups, and the instants that a restore can reach.

    What was written since the last archived commit is archived by a restore before it begins,
    where the primary still lives.

    \b
    Examples:
      skillswap-ops backup list
      skillswap-ops backup list postgres --output json
    """
    from skillswap_ops.backups import chosen, raise_failed, stock
    from skillswap_ops.wiring import context_of

    wanted = chosen(engines)
    context = context_of(selection, must_exist=True)
    found, failed = stock(context, wanted)
    if selection.json:
        windows = [
            {"engine": engine, "repository": window.repository, "first": window.first,
             "last": window.last}
            for engine, window in found.windows
        ]  # fmt: skip
        console.print_json({"backups": found.backups, "windows": windows, "failed": failed})
    else:
        print_backups(found.backups)
        for engine, window in found.windows:
            click.echo(
                f"{engine}, repository {window.repository}: "
                f"from {moment(window.first)} to {moment(window.last)}"
            )
        if not found.windows:
            click.echo("nothing can be restored")
    raise_failed(failed)


def print_backups(backups: "Sequence[Backup]") -> None:
    """A line a backup."""
    console.print_table(
        ("engine", "backup", "kind", "ended (UTC)", ">stored", ">repo", "state"),
        [
            (
                each.engine, each.label, str(each.kind), f"{each.stopped:%Y-%m-%d %H:%M:%S}",
                size(each.bytes_stored), str(each.repository), each.problem or "good",
            )
            for each in backups
        ],
    )  # fmt: skip


def size(count: int) -> str:
    """Bytes, in the unit that keeps it short."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < KIB:
            return f"{count:.0f} {unit}"
        count /= KIB  # type: ignore[assignment]
    return f"{count:.1f} GiB"


def moment(at: "datetime") -> str:
    """An instant as `restore --to` takes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
