"""`dr promote` and `dr failback`."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.command("promote")
@click.option(
    "--old-region-is-gone",
    "gone",
    is_flag=True,
    help="Nobody need stop the old region: it is lost. Refused where it still answers.",
)
@selects_cluster
@yes_option
def promote(selection: Selection, *, gone: bool, yes: bool) -> None:
    """Let the DR region take over: fence the old one, promote, move the edge, state the loss.

    The DR region must still be a standby. The old region's servers are stopped first; stopped
    cleanly they lose nothing. Cut off anywhere, the same command goes on. While the DR region
    leads with a single member, no synchronous standby protects what is written.

    \b
    Examples:
      skillswap-ops dr promote
      skillswap-ops dr promote --old-region-is-gone --yes
    """
    from postgres.dr_loss import describe
    from skillswap_ops import regional
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    how = "which is lost" if gone else "whose PostgreSQL is stopped"
    confirm(
        f"This makes the DR region of cluster {context.topology.name} the primary one, in place of "
        f"the topology's, {how}. Go on?",
        yes=yes,
    )
    loss = regional.promote(context, console.say, gone=gone)
    if selection.json:
        console.print_json(loss.model_dump(mode="json"))
    else:
        click.echo(f"promoted: {describe(loss)}")


@click.command("failback")
@selects_cluster
@yes_option
def failback(selection: Selection, *, yes: bool) -> None:
    """Give the lead back to the topology's region, which is made anew from the DR region.

    Its old data is removed: what it had and the DR region had not was stated by `dr promote`.
    Writes pause between the clean stop of the one primary and the promotion of the other. Cut off
    anywhere, the same command goes on.

    \b
    Examples:
      skillswap-ops dr failback
    """
    from skillswap_ops import regional
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    confirm(
        f"This removes the data of the old region of cluster {context.topology.name}, makes it "
        "anew from the DR region, and gives it the lead again. Go on?",
        yes=yes,
    )
    regional.failback(context, console.say)
    if selection.json:
        console.print_json({"stage": "home"})
