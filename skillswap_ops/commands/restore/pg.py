"""`restore pg`."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.restore.showing import record
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.backup.contracts import Restored


@click.command("pg")
@click.option("--to", required=True, metavar="TIME|LSN|NAME", help="Where the restored data ends.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Restore beside the cluster, into this empty or new folder.",
)
@click.option("--in-place", is_flag=True, help="Put the cluster itself back: all members re-made.")
@click.option(
    "--repository",
    type=click.IntRange(1, 4),
    help="From this one alone, where another is damaged.  [default: the first that can]",
)
@click.option("--start", is_flag=True, help="With --into: start it, to look at it.")
@click.option("--address", default="", help="With --into: listen here too, beside the socket.")
@click.option("--port", type=click.IntRange(1, 65535), default=5432, show_default=True)
@selects_cluster
@yes_option
def pg(
    selection: Selection,
    *,
    to: str,
    into: Path | None,
    in_place: bool,
    repository: int | None,
    start: bool,
    address: str,
    port: int,
    yes: bool,
) -> None:
    """Restore PostgreSQL to a time, an LSN or a name that `backup mark` gave.

    A TIME is as in 2026-11-26T14:03:20.5Z (UTC where no offset is given), `now`, or `90s ago`. It
    means the data as it was then; what was written up to now stays within reach of another
    restore. A target that the archive cannot reach is refused, with the range that is possible,
    before anything is touched.

    With --into the cluster is not touched. With --in-place the data is prepared beside the running
    cluster; then all members are stopped and made anew. Cut off anywhere, the same command goes on.

    \b
    Examples:
      skillswap-ops restore pg --to '10m ago' --into /srv/look --start
      skillswap-ops restore pg --to 2026-11-26T14:03:20Z --in-place
      skillswap-ops restore pg --to 0/5A3F0D8 --into /srv/look
    """
    from skillswap_ops import restoring
    from skillswap_ops.backups import parse_target
    from skillswap_ops.wiring import local_context

    if bool(into) == in_place:
        raise click.UsageError("say where: --into FOLDER beside the cluster, or --in-place")
    if into is None and (start or address):
        raise click.UsageError("--start and --address are for --into")
    _check_address(address)
    target = parse_target(to)
    context = local_context(selection, must_exist=True)
    if into is not None:
        folder = into.absolute()
        wishes = restoring.Beside(folder, address, port, start=start, repository=repository or 0)
        _show(selection, restoring.beside(context, target, wishes, console.say))
        return
    confirm(
        f"This puts PostgreSQL of cluster {context.topology.name} back to {target}: what was "
        "written since is gone from it, and all members are made anew. Go on?",
        yes=yes,
    )
    _show(selection, restoring.in_place(context, target, console.say, repository or 0))


def _check_address(address: str) -> None:
    if address:
        try:
            IPv4Address(address)
        except ValueError as error:
            raise click.BadParameter(f"{address} is no IPv4 address") from error


def _show(selection: Selection, done: "Restored") -> None:
    if selection.json:
        console.print_json(record(done))
        return
    reached = (
        f"its last commit is of {done.reached.isoformat()}"
        if done.reached
        else "nothing was committed between the backup and the target"
    )
    click.echo(f"{done.engine}: restored from {done.label} in {done.seconds:.1f} s; {reached}")
    click.echo(done.how)
