"""`drill due`."""

from datetime import UTC, datetime

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import tag_option
from skillswap_ops.options import Selection, selects_cluster

PROOF_TAG = "proof"


@click.command("due")
@tag_option
@click.option(
    "--days",
    type=click.IntRange(1),
    default=92,
    show_default=True,
    help="How long a run counts; 92 is the longest quarter.",
)
@selects_cluster
def due(selection: Selection, *, tags: tuple[str, ...], days: int) -> None:
    """Say when each drill must be run again; default: those tagged quarterly, and the proof.

    The proof that backups can be restored (`backup prove`) counts for `sla.restore_proof` days of
    the topology, whatever --days says.

    A run counts that has shown something, a pass or a fail; one that was inconclusive does not. A
    drill that this topology has nothing for is left out, one that this machine or user cannot do
    is not: somebody must.

    Exit codes: 0 all in time, 1 one is overdue, or was never run.
    """
    from cluster.drill.due import Wanted
    from cluster.drill.due import due as due_of
    from skillswap_ops.drill_history_view import plain, print_due
    from skillswap_ops.drill_records import past_runs
    from skillswap_ops.drilling import tagged, why_skipped
    from skillswap_ops.wiring import context_of

    specs = tagged(tags or ("quarterly", PROOF_TAG))
    context = context_of(selection, must_exist=True)
    proof = context.topology.sla.restore_proof
    wanted = [
        Wanted(spec.name, why_skipped(context, spec), proof if PROOF_TAG in spec.tags else None)
        for spec in specs
        if not spec.skip(context)
    ]
    now = datetime.now(UTC)
    found = due_of(wanted, past_runs(context, console.say), now, days)
    if selection.json:
        console.print_json([plain(each) for each in found])
    else:
        print_due(found, now)
    if any(each.overdue for each in found):
        raise SystemExit(1)
