"""`pg`: what is done to a running Patroni scope on an ordinary day."""

import click

from skillswap_ops import console
from skillswap_ops.commands.mongo import agree, led, left
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.group("pg")
def command() -> None:
    """PostgreSQL on an ordinary day: switch over, copy a member anew, let one leave.

    \b
    Examples:
      skillswap-ops pg switchover
      skillswap-ops pg reinit pgsync1
      skillswap-ops pg member remove pg3 --topology smaller.yaml
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


@command.group("member")
def member() -> None:
    """One member of a Patroni scope.

    To add one, put it at the end of `postgres.members` in the topology file: `provision` adds it.
    """


@member.command("remove")
@click.argument("node")
@selects_cluster
@yes_option
def remove(selection: Selection, *, node: str, yes: bool) -> None:
    """Take NODE, which the topology file has no more, out of its Patroni scope for good.

    Take it out of the file first: the last one of the list can go, for a place in it gives an
    address. `plan` and `provision` name this command then. One that leads hands over; where commits
    wait for it, another standby is waited for before it stops. Then the proxies lead to it no more,
    its slot and its key are gone, and its files are removed. Refused where the others are not
    whole, or no synchronous standby would be left. Cut off anywhere, the same command goes on.
    `provision` adds members.

    \b
    Examples:
      skillswap-ops pg member remove pg3 --topology smaller.yaml
    """
    from postgres.former import former
    from skillswap_ops import removal
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    found = removal.find(context, node, former(context))
    agree(context, found, yes=yes)
    done = removal.pg_member(context, node, console.say)
    if selection.json:
        console.print_json(done)
        return
    click.echo(left(done))
