"""`drill show`."""

import click

from skillswap_ops import console
from skillswap_ops.commands.drill.names import complete_name
from skillswap_ops.options import Selection, selects_cluster


@click.command("show")
@click.argument("name", shell_complete=complete_name)
@selects_cluster
def show(selection: Selection, *, name: str) -> None:
    """Show one drill: hypothesis, fault and undo, what each stream is held to, how long it takes.

    On a live cluster also whether its preconditions are met, what would be broken if it began
    now, and what the cluster's own configuration makes one expect. Breaks nothing.
    """
    from skillswap_ops.drill_card import card
    from skillswap_ops.drill_card_view import print_card
    from skillswap_ops.drilling import chosen
    from skillswap_ops.wiring import context_of

    [spec] = chosen([name])
    found = card(context_of(selection), spec)
    if selection.json:
        console.print_json(found)
    else:
        print_card(found)
