"""`restore mongo`."""

from pathlib import Path

import click

from skillswap_ops import console
from skillswap_ops.commands.restore.showing import show
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.command("mongo")
@click.option("--to", required=True, metavar="TIME", help="Where the restored data ends.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Restore beside the cluster, into this empty or new folder.",
)
@click.option("--in-place", is_flag=True, help="Put the cluster itself back: all members re-made.")
@selects_cluster
@yes_option
def mongo(selection: Selection, *, to: str, into: Path | None, in_place: bool, yes: bool) -> None:
    """Restore MongoDB to one instant over all shards and config servers.

    A TIME is as in 2026-11-26T14:03:20Z (UTC where no offset is given), `now`, or `90s ago`. It is
    taken down to its second: what shards agree on is a cluster time, and the clock's instants are
    such only where a second begins. What was written before it is there, what came after is not.
    A time that the snapshots and the oplog archive cannot reach is refused, with the range that is
    possible, before anything is touched.

    With --into the cluster is not touched: each set becomes a data folder with what opens it. With
    --in-place all sets are restored beside the running cluster; then all members are stopped and
    made anew, and the archive begins a new history. Cut off anywhere, the same command goes on.

    \b
    Examples:
      skillswap-ops restore mongo --to '10m ago' --into /srv/look
      skillswap-ops restore mongo --to 2026-11-26T14:03:20Z --in-place
    """
    from skillswap_ops import restoring
    from skillswap_ops.backups import parse_target
    from skillswap_ops.wiring import local_context

    if bool(into) == in_place:
        raise click.UsageError("say where: --into FOLDER beside the cluster, or --in-place")
    target = parse_target(to)
    context = local_context(selection, must_exist=True)
    if into is not None:
        show(selection, restoring.mongo_beside(context, target, into.absolute(), console.say))
        return
    confirm(
        f"This puts MongoDB of cluster {context.topology.name} back to {target}: what was "
        "written since is gone from it, and all members are made anew. Go on?",
        yes=yes,
    )
    show(selection, restoring.mongo_in_place(context, target, console.say))
