"""`restart --rolling`: everything restarted, one member at a time."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option

if TYPE_CHECKING:
    from cluster.rolling import Turn

# As skillswap_ops.upkeep.COMPONENTS, which brings the drivers with it.
COMPONENTS = ("mongo", "archiver", "routers", "etcd", "postgres", "proxies")


@click.command("restart")
@click.option("--rolling", is_flag=True, help="One member at a time, while the rest serves.")
@click.option(
    "--component",
    "components",
    type=click.Choice(COMPONENTS),
    multiple=True,
    help="Only this; may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Print the order, restart nothing.")
@selects_cluster
@yes_option
def command(
    selection: Selection,
    *,
    rolling: bool,
    components: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Restart the servers in the right order, each with its configuration as it should be now.

    Secondaries, a step down, the old primary; standby, switchover, old primary; routers and proxies
    one at a time. Whether the others can do without a member is looked at before anything is
    touched, and again before each turn. A restart that was killed is finished by the next one.
    Redis and the object store have nobody to stand in for them and are left alone; services have
    `services rollout`.

    \b
    Examples:
      skillswap-ops restart --rolling --dry-run
      skillswap-ops restart --rolling
      skillswap-ops restart --rolling --component postgres --component proxies --yes
    """
    from skillswap_ops import upkeep
    from skillswap_ops.wiring import local_context

    if not rolling:
        raise click.UsageError(
            "add --rolling; to restart everything at once: `stop`, then `provision`"
        )
    context = local_context(selection, must_exist=True)
    planned = upkeep.plan(context, upkeep.groups(context, components))
    if dry_run:
        rows = [(group, str(move)) for group, move in planned]
        if selection.json:
            console.print_json([{"group": group, "move": move} for group, move in rows])
        else:
            console.print_table(("group", "move"), rows)
        return
    names = dict.fromkeys(group for group, _ in planned)
    confirm(
        f"This restarts {', '.join(names)} of cluster {context.topology.name}, one member at a "
        "time. Go on?",
        yes=yes,
    )
    _show(selection, upkeep.restart(context, components, console.say))


def _show(selection: Selection, turns: "list[Turn]") -> None:
    from cluster.leading import longest

    rows = [
        (turn.group, str(turn.move), f"{turn.seconds:.1f} s", longest(turn.gaps)) for turn in turns
    ]
    if selection.json:
        console.print_json(
            [
                {
                    "group": turn.group,
                    "move": str(turn.move),
                    "seconds": turn.seconds,
                    "gaps": turn.gaps,
                }
                for turn in turns
            ]
        )
        return
    console.print_table(
        ("group", "move", ">whole after", ">nobody led"),
        [(group, move, took, f"{gap:.2f} s" if gap else "") for group, move, took, gap in rows],
    )
    worst = max((gap for *_, gap in rows), default=0.0)
    click.echo(f"{len(rows)} moves; the longest time that nobody led a group: {worst:.2f} s")
