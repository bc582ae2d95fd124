"""`drill compare`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster


@click.command("compare")
@click.argument("names", nargs=-1, required=True, metavar="RUN RUN | DRILL")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    metavar="PERCENT",
    help="By how much the sustained RTO may grow.",
)
@click.option("--fail-on-regression", is_flag=True, help="Exit with 1 where something got worse.")
@selects_cluster
def compare(
    selection: Selection, *, names: tuple[str, ...], tolerance: float, fail_on_regression: bool
) -> None:
    """Set two runs side by side: RUN is any part of a folder's name; DRILL: its last two runs.

    A longer sustained RTO is a regression where it grew by more than the tolerance, and by more
    than the prediction's spread: so far apart may two runs of one configuration lie by chance.

    \b
    Examples:
      skillswap-ops drill compare pg-node-kill --fail-on-regression
      skillswap-ops drill compare 20261001T03 20270101T03
    """
    from cluster.drill.compare import compare as compare_runs
    from skillswap_ops.drill_history_view import plain, print_comparison
    from skillswap_ops.drill_records import past_runs, two_runs
    from skillswap_ops.wiring import context_of

    if len(names) > 2:
        raise click.UsageError("Give two runs, or one drill.")
    runs = past_runs(context_of(selection, must_exist=True), console.say)
    found = compare_runs(*two_runs(runs, names), tolerance / 100)
    if selection.json:
        console.print_json(plain(found))
    else:
        print_comparison(found)
    if found.regressions and fail_on_regression:
        raise SystemExit(1)
