"""`backup run`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

ENGINE = click.argument("engines", nargs=-1, metavar="[ENGINE]…")


@click.command("run")
@ENGINE
@click.option(
    "--kind",
    type=click.Choice(["full", "diff", "incr"]),
    default="incr",
    show_default=True,
    help="All, what changed since the last full backup, or since the last one of any kind.",
)
@selects_cluster
def run(selection: Selection, *, engines: tuple[str, ...], kind: str) -> None:
    """Take a backup into every repository, of all engines or of each ENGINE (postgres, mongo).

    The cluster goes on serving. Killed anywhere, it leaves nothing that is listed as a backup.
    What retention no longer keeps is removed afterwards.

    \b
    Examples:
      skillswap-ops backup run --kind full
      skillswap-ops backup run postgres
    """
    from cluster.backup.contracts import BackupKind
    from cluster.lock import changes
    from skillswap_ops.backups import chosen, on_each, raise_failed
    from skillswap_ops.commands.backup.list import print_backups
    from skillswap_ops.wiring import context_of

    wanted = chosen(engines)
    context = context_of(selection, must_exist=True)
    changes(context.layout.root, "backup run")
    made, failed = on_each(
        wanted, lambda engine: engine.run(context, BackupKind(kind), console.say)
    )
    if selection.json:
        console.print_json({"made": made, "failed": failed})
    elif made:
        print_backups(made)
    raise_failed(failed)
