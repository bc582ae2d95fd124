"""`destroy`: stop and remove."""

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, state_option, yes_option


@click.command("destroy")
@state_option
@selects_cluster
@yes_option
def command(selection: Selection, *, state: str | None, yes: bool) -> None:
    """Stop and remove the cluster, with its data, its backups and its drill evidence.

    Only what lies in the cluster's own folder is removed: an archive repository elsewhere stays. On
    Kubernetes every object goes; the disks stay in the cloud until somebody removes them there.
    """
    if selection.target == "kubernetes":
        from skillswap_ops.kubernetes.provisioning import destroy as destroy_objects

        destroy_objects(selection, state, yes=yes)
        return
    from skillswap_ops.provisioning import destroy
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    root = context.layout.root
    confirm(
        f"This ends every server of cluster {context.topology.name} and removes {root} with its "
        "data, backups, secrets and drill evidence. Go on?",
        yes=yes,
    )
    ended = destroy(context)
    console.say(f"Destroyed: {ended} processes ended, {root} removed.")
