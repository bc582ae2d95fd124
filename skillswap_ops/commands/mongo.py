"""`mongo`: what is done to a running replica set on an ordinary day."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.leading import Gap


@click.group("mongo")
def command() -> None:
    """MongoDB on an ordinary day: step a primary down, copy a member anew.

    \b
    Examples:
      skillswap-ops mongo stepdown shard-a
      skillswap-ops mongo member resync shard-a-2
    """


@command.command("stepdown")
@click.argument("shard")
@click.option(
    "--seconds",
    type=click.IntRange(10, 86_400),
    default=60,
    show_default=True,
    metavar="N",
    help="So long the old primary stands for no election.",
)
@selects_cluster
@yes_option
def stepdown(selection: Selection, *, shard: str, seconds: int, yes: bool) -> None:
    """Have the primary of SHARD (or of `config`) hand over to a secondary that is level with it.

    Refused where no secondary could take over. Clients with retryable writes see a pause and no
    error; how long nobody led is printed.

    \b
    Examples:
      skillswap-ops mongo stepdown shard-a
      skillswap-ops mongo stepdown config --seconds 600 --yes
    """
    from mongo.upkeep import replica_set_named
    from skillswap_ops import upkeep
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    replica_set_named(context, shard)
    confirm(
        f"This has the primary of {shard} of cluster {context.topology.name} step down. Go on?",
        yes=yes,
    )
    done = upkeep.stepdown(context, shard, seconds)
    if selection.json:
        console.print_json(done)
        return
    click.echo(f"{shard}: {done.before} stepped down, {done.after} leads; {led(done.gaps)}")


@command.group("member")
def member() -> None:
    """One member of a replica set."""


@member.command("resync")
@click.argument("node")
@selects_cluster
@yes_option
def resync(selection: Selection, *, node: str, yes: bool) -> None:
    """Remove the data of NODE, and have it copy the others' (an initial sync).

    For a member whose data is damaged, or that has fallen behind the oplog. Refused for a primary,
    and where the others could not do without it. Cut off anywhere, the same command goes on.

    \b
    Examples:
      skillswap-ops mongo member resync shard-a-2
    """
    from cluster.errors import RefusedError
    from mongo import upkeep as mongo_upkeep
    from skillswap_ops import upkeep
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    replica_set, found = mongo_upkeep.set_of(context, node)
    if reason := mongo_upkeep.why_no_resync(context, replica_set, found):
        raise RefusedError(reason, mongo_upkeep.STATUS_HINT)
    confirm(
        f"This removes the data of {node} in {context.layout.data(found)}; it then copies that of "
        f"the other members of {replica_set.name}. Go on?",
        yes=yes,
    )
    done = upkeep.resync(context, node)
    if selection.json:
        console.print_json(done)
        return
    click.echo(f"{node}: {done.removed}; it is level with the others after {done.seconds:.1f} s")


def led(gaps: "tuple[Gap, ...]") -> str:
    """How long nobody led, in words."""
    from cluster.leading import longest

    return f"nobody led for at most {longest(gaps):.2f} s" if gaps else "somebody always led"
