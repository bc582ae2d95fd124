"""`runbook resume`, and what `run` and it share."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cluster.errors import OpsError, RefusedError
from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from runbooks.model import Runbook
    from skillswap_ops.wiring import LocalContext


@click.command("resume")
@click.argument("name", metavar="[RUN]", required=False)
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML: the answer of each step that asks, by its id.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask for steps that are marked safe.")
@click.option("--abandon", is_flag=True, help="Do not go on with it: close it.")
@selects_cluster
def resume(
    selection: Selection, *, name: str | None, answers: Path | None, yes: bool, abandon: bool
) -> None:
    """Go on with RUN (any part of its name) where it stopped; default: the newest unfinished one.

    A step that was begun and not ended is looked at first: what it should have changed is not
    changed twice.

    \b
    Examples:
      skillswap-ops runbook resume
      skillswap-ops runbook resume mongo-primary-lost --yes
      skillswap-ops runbook resume --abandon
    """
    from runbooks.journal import Closed, Journal
    from skillswap_ops.runbooking import page_of, read_answers, run_named, who
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    run = run_named(context, name)
    if run.closed is not None:
        raise RefusedError(f"{run.name} is over: {run.closed.outcome}", "begin another one")
    if abandon:
        from datetime import UTC, datetime

        Journal(run.folder).append(
            Closed(at=datetime.now(UTC), who=who(), outcome="abandoned", why="by the operator")
        )
        console.say(f"{run.name} is closed")
        return
    runbook, same = page_of(run)
    if not same:
        console.say(f"note: the page {runbook.id} was changed since this run began")
    given = read_answers(answers)
    lead_through(context, selection, runbook, run.folder, given, yes=yes, resuming=True)


def lead_through(
    context: "LocalContext",
    selection: Selection,
    runbook: "Runbook",
    folder: Path,
    answers: Mapping[str, str],
    *,
    yes: bool,
    resuming: bool = False,
) -> None:
    """Do the steps, one run at a time on a cluster; the exit code says how it ended."""
    from cluster.lock import exclusive
    from runbooks.journal import FOLDER, Journal, load
    from skillswap_ops.runbook_view import Lines, record
    from skillswap_ops.runbooking import Answering, go, ports, sla_seconds

    promised = sla_seconds(context.topology.sla, runbook.front.sla)
    screen = Lines(runbook, load(folder).opened.incident, promised)
    journal = Journal(folder)
    with exclusive(context.layout.root / FOLDER / "lock", f"runbook run {runbook.id}"):
        world = ports(context, selection, screen, Answering(answers, yes))
        over = go(runbook, journal, world, resuming=resuming)
    if selection.json:
        console.print_json(record(load(folder), promised))
    if over.done:
        screen.close(load(folder))
        return
    raise OpsError(
        f"{runbook.id} stopped: {over.why}",
        f"mend that, then `skillswap-ops runbook resume {folder.name}`",
    )
