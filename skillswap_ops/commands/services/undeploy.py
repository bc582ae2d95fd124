"""`services undeploy`: stop and remove the services; data stays."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.command("undeploy")
@selects_cluster
@yes_option
def undeploy(selection: Selection, *, yes: bool) -> None:
    """Stop and remove every service with its proxies, code, logs and keys; data stays.

    Tokens that were handed out are worth nothing afterwards: their key goes with it.

    \b
    Example:
      skillswap-ops services undeploy --yes
    """
    from skillswap_ops import deploying
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    confirm(
        f"Stop and remove every service of cluster {context.topology.name}, with its logs and "
        "keys? Data stays.",
        yes=yes,
    )
    console.say("Draining every instance …")
    count = deploying.undeploy(context)
    console.say(f"Removed: {count} instances.")
