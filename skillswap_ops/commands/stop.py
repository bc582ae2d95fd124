"""`stop`: every server cleanly, data stays."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.command("stop")
@selects_cluster
@yes_option
def command(selection: Selection, *, yes: bool) -> None:
    """Stop every server cleanly; data stays, `provision` starts it again."""
    from skillswap_ops.provisioning import stop
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    confirm(f"Stop every server of cluster {context.topology.name}?", yes=yes)
    stop(context)
    console.say(f"Stopped. Its data is in {context.layout.root}.")
