"""`mongo`: what is done to a running replica set on an ordinary day."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.context import Context
    from cluster.inventory import Node
    from cluster.leading import Gap
    from skillswap_ops.removal import Left


@click.group("mongo")
def command() -> None:
    """MongoDB on an ordinary day: step a primary down, copy a member anew, let one leave.

    \b
    Examples:
      skillswap-ops mongo stepdown shard-a
      skillswap-ops mongo member resync shard-a-2
      skillswap-ops mongo member remove shard-a-5 --topology smaller.yaml
      skillswap-ops mongo shard remove shard-c --topology smaller.yaml
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
    """One member of a replica set.

    To add one, put it into the topology file (`members` of its shard): `provision` adds it.
    """


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


@member.command("remove")
@click.argument("node")
@selects_cluster
@yes_option
def remove(selection: Selection, *, node: str, yes: bool) -> None:
    """Take NODE, which the topology file has no more, out of its replica set for good.

    Lower `members` (or take the arbiter out) in the file first; `plan` and `provision` name this
    command then. One that leads hands over; the set is reconfigured; once a majority of the others
    holds that, the server is stopped and its files are removed. Refused where the others could not
    go on without it. Cut off anywhere, the same command goes on. `provision` adds members.

    \b
    Examples:
      skillswap-ops mongo member remove shard-a-5 --topology smaller.yaml
    """
    from mongo.former import former
    from skillswap_ops import removal
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    found = removal.find(context, node, former(context))
    agree(context, found, yes=yes)
    done = removal.mongo_member(context, node, console.say)
    if selection.json:
        console.print_json(done)
        return
    click.echo(left(done))


@command.group("shard")
def shard() -> None:
    """One shard.

    To add one, put it at the end of `mongo.shards` in the topology file: `provision` adds it.
    """


@shard.command("remove")
@click.argument("name")
@selects_cluster
@yes_option
def remove_shard(selection: Selection, *, name: str, yes: bool) -> None:
    """Drain shard NAME, which the topology file has no more, and remove it for good.

    Take it out of the file first; `plan` and `provision` name this command then. Refused while a
    database lives on it (`movePrimary` moves one; the segment router cannot), and where it holds
    what was written past the routers. The balancer moves its chunks; once it is empty its members
    are stopped, and their files removed. Cut off anywhere, the same command goes on.

    Backups taken until then hold its data: restore them beside the cluster, with the topology file
    of then. Take one afterwards. `provision` adds shards.

    \b
    Examples:
      skillswap-ops mongo shard remove shard-c --topology smaller.yaml
    """
    from skillswap_ops import removal
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    members = removal.members_of(context, name)
    if members:
        confirm(
            f"This drains {name} of cluster {context.topology.name}, and removes its members "
            f"{', '.join(node.name for node in members)} with their files. Go on?",
            yes=yes,
        )
    done = removal.mongo_shard(context, name, console.say)
    if selection.json:
        console.print_json(done)
        return
    click.echo(left(done))
    if done.found and context.topology.mongo.backup.enabled:
        console.say("earlier backups are of one shard more: take one now (`backup run`)")


def agree(context: "Context", found: "Node | None", *, yes: bool) -> None:
    """Ask before a member's files are removed, if there are any."""
    if found:
        confirm(
            f"This takes {found.name} out of {found.group} of cluster {context.topology.name} for "
            f"good, and removes {context.layout.node(found)}. Go on?",
            yes=yes,
        )


def left(done: "Left") -> str:
    """How a member has left, in words."""
    if not done.found:
        return f"nothing of {done.node} is here: it has left, or was never here"
    handed = f"{done.heir} leads, {led(done.gaps)}; " if done.heir else ""
    return f"{done.node} has left {done.group}: {handed}{done.seconds:.1f} s in all"


def led(gaps: "tuple[Gap, ...]") -> str:
    """How long nobody led, in words."""
    from cluster.leading import longest

    return f"nobody led for at most {longest(gaps):.2f} s" if gaps else "somebody always led"
