"""`drill history`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import complete_name
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.drill.past_run import PastRun


@click.command("history")
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@click.option("--plot", is_flag=True, help="Draw the sustained RTO over the runs.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the plot as one HTML file that needs no network.",
)
@selects_cluster
def history(
    selection: Selection, *, name: str | None, limit: int, plot: bool, html: Path | None
) -> None:
    """List past runs of a drill, or of all: the newest N, the last one below.

    Kept in `history.sqlite` beside the run folders, and brought up to them first.

    \b
    Examples:
      skillswap-ops drill history
      skillswap-ops drill history pg-node-kill --plot --html rto.html
    """
    from skillswap_ops.drill_history_view import plain, print_history, print_plot
    from skillswap_ops.drill_records import past_runs
    from skillswap_ops.drilling import chosen
    from skillswap_ops.wiring import context_of

    if name:
        chosen([name])
    context = context_of(selection, must_exist=True)
    runs = past_runs(context, console.say, name, limit)
    if selection.json:
        console.print_json([plain(run) for run in runs])
    elif not runs:
        console.say("No run yet: `skillswap-ops drill run NAME` makes one.")
    elif plot:
        print_plot(runs)
    else:
        print_history(runs)
    if html:
        _write_page(context.topology.name, runs, html)


def _write_page(cluster: str, runs: tuple["PastRun", ...], html: Path) -> None:
    from datetime import UTC, datetime

    from cluster.drill.publish.history_page import history_page
    from cluster.files import write_atomic

    write_atomic(html, history_page(runs, cluster, datetime.now(UTC)))
    console.say(f"written: {html}")
