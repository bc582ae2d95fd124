"""`pg`: what is done to a running Patroni scope on an ordinary day."""

import click

from skillswap_ops import console
from skillswap_ops.commands.mongo import led
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.group("pg")
def command() -> None:
    """PostgreSQL on an ordinary day: switch over, copy a member anew.

    \b
    Examples:
      skillswap-ops pg switchover
      skillswap-ops pg reinit pgsync1
    """


@command.command("switchover")
@selects_cluster
@yes_option
def switchover(selection: Selection, *, yes: bool) -> None:
    """Hand the lead to the synchronous standby, and wait until the old primary is one itself.

    Refused where no synchronous standby is attached: nobody else has all that was acknowledged.
    How long nobody led is printed; clients through the proxies see that pause.

    \b
    Examples:
      skillswap-ops pg switchover
      skillswap-ops pg switchover --yes --output json
    """
    from cluster.errors import RefusedError
    from postgres import switchover as postgres
    from skillswap_ops import upkeep
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    if reason := postgres.why_not(context):
        raise RefusedError(reason, postgres.HINT)
    confirm(
        f"This hands the lead of PostgreSQL of cluster {context.topology.name} to its standby. "
        "Go on?",
        yes=yes,
    )
    done = upkeep.switchover(context)
    if selection.json:
        console.print_json(done)
        return
    click.echo(
        f"{done.scope}: {done.before} handed over to {done.after}; {led(done.gaps)}, all was whole "
        f"again after {done.seconds:.1f} s"
    )


@command.command("reinit")
@click.argument("node")
@selects_cluster
@yes_option
def reinit(selection: Selection, *, node: str, yes: bool) -> None:
    """Remove the data of NODE, and have it copy whom it follows.

    For a standby whose data is damaged, or that cannot follow any more. Refused for a primary. The
    question says where no synchronous standby protects writes while it copies. The leader of the DR
    region copies the other region.

    \b
    Examples:
      skillswap-ops pg reinit pgsync1
    """
    from postgres.reinit import warning
    from skillswap_ops import upkeep
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    risk = warning(context, node)
    confirm(
        f"This removes the data of {node} of cluster {context.topology.name}, which then copies "
        f"whom it follows. {risk}{' ' if risk else ''}Go on?",
        yes=yes,
    )
    done = upkeep.reinit(context, node)
    if selection.json:
        console.print_json(done)
        return
    click.echo(f"{node}: copied from {done.source}; all is whole after {done.seconds:.1f} s")
