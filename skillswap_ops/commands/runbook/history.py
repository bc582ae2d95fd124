"""`runbook history`."""

from pathlib import Path

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster


@click.command("history")
@click.argument("name", metavar="[RUN]", required=False)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the timeline of RUN (default: the newest) as Markdown; - is stdout.",
)
@selects_cluster
def history(selection: Selection, *, name: str | None, export: Path | None) -> None:
    """List the runs of runbooks, or export the timeline of one for the review afterwards.

    \b
    Examples:
      skillswap-ops runbook history
      skillswap-ops runbook history pg-pitr --export -
    """
    from runbooks.journal import runs
    from skillswap_ops.runbook_view import print_runs, record
    from skillswap_ops.runbooking import page_of, run_named, sla_seconds
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    found = runs(context.layout.root)
    if name is not None or (export and found):
        found = (run_named(context, name if name is not None else found[-1].name),)
    if export and found:
        from runbooks.timeline import timeline

        runbook, _ = page_of(found[0])
        promised = sla_seconds(context.topology.sla, runbook.front.sla)
        text = timeline(found[0], runbook, promised)
        if str(export) == "-":
            click.echo(text, nl=False)
        else:
            export.write_text(text, "utf-8")
            console.say(f"written: {export}")
        return
    if selection.json:
        console.print_json([record(run, None) for run in found])
    else:
        print_runs(found)
