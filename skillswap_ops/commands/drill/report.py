"""`drill report`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster


@click.command("report")
@click.argument("run", required=False)
@click.option("--recheck", is_flag=True, help="Compute the verdict again from the evidence.")
@click.option(
    "--html", is_flag=True, help="Write the report files again; print report.html's path."
)
@selects_cluster
def report(selection: Selection, *, run: str | None, recheck: bool, html: bool) -> None:
    """Show a run's report: RUN is any part of its folder's name; default: the newest.

    The verdict is always computed from the evidence on disk; --recheck also says whether it is
    the one that was given then, and exits as the run did. --html computes the files for people
    and other tools again (report.html, journal.json, junit.xml, metrics.prom).
    """
    from cluster.drill.evidence import VERDICT
    from skillswap_ops.drill_reports import rewrite
    from skillswap_ops.drill_view import print_report, record
    from skillswap_ops.drilling import find_run, reported
    from skillswap_ops.wiring import context_of

    context = context_of(selection, must_exist=True)
    folder = find_run(context, run)
    given = folder / VERDICT
    before = given.read_text("utf-8") if given.exists() else ""
    summary = reported(folder)
    if html:
        path, notes = rewrite(context, folder)
        for note in notes:
            console.say(note)
        if selection.json:
            console.print_json({"report": str(path)})
        else:
            click.echo(path)
    elif selection.json:
        console.print_json(record(summary))
    else:
        print_report(summary)
    if recheck:
        same = f'"conclusion": "{summary.conclusion.value}"' in before
        console.say(
            "The evidence gives the verdict that was given."
            if same
            else "The evidence gives another verdict than was given."
        )
        raise SystemExit(summary.exit_code)
