"""`drill predict`."""

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import complete_name
from skillswap_ops.options import Selection, selects_cluster


@click.command("predict")
@click.argument("names", nargs=-1, metavar="[NAME…]", shell_complete=complete_name)
@click.option(
    "--live/--topology-only",
    default=None,
    help="Ask the cluster, which must answer; or look at the topology alone. Default: the "
    "cluster where there is one.",
)
@selects_cluster
def predict(selection: Selection, *, names: tuple[str, ...], live: bool | None) -> None:
    """Predict each drill's four stamps, and how likely they break the SLA. Breaks nothing.

    Every phase of a recovery that is left to chance (when the last heartbeat came, how much of
    the lease is left, when the proxies check next) is drawn 20,000 times.

    \b
    Examples:
      skillswap-ops drill predict
      skillswap-ops drill predict pg-node-kill --topology-only -f my.yaml
    """
    from skillswap_ops.catalogue import all_drills
    from skillswap_ops.drill_history_view import print_predictions
    from skillswap_ops.drill_predictions import declared, foretell
    from skillswap_ops.drill_predictions import live as live_basis
    from skillswap_ops.drilling import chosen
    from skillswap_ops.wiring import context_of

    specs = chosen(names) if names else all_drills()
    context = context_of(selection, must_exist=bool(live))
    ask = live or (live is None and context.layout.topology.exists())
    basis = (
        live_basis(context, must=bool(live), on_unread=console.say)
        if ask
        else declared(context.topology)
    )
    found = foretell(context.topology, basis, specs)
    if selection.json:
        console.print_json(found)
    else:
        print_predictions(found)
