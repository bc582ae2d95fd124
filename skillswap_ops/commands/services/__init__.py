"""`services`: the application on the cluster. One file a kind of subcommand."""

import click

from skillswap_ops.commands.services.admin import admin
from skillswap_ops.commands.services.catalogue import list_services, show
from skillswap_ops.commands.services.change import deploy, rollback, rollout, scale
from skillswap_ops.commands.services.load import load
from skillswap_ops.commands.services.logs import logs
from skillswap_ops.commands.services.status import endpoints, status
from skillswap_ops.commands.services.undeploy import undeploy


@click.group("services")
def command() -> None:
    """The application services: what there is, deploy it, roll it out and back, look at it.

    \b
    Examples:
      skillswap-ops services list --stage mvp
      skillswap-ops services deploy --stage mvp
      skillswap-ops services status
      skillswap-ops services rollout auth --image ../skillswap-ops
    """


for each in (
    list_services,
    show,
    deploy,
    status,
    rollout,
    rollback,
    scale,
    load,
    logs,
    endpoints,
    admin,
    undeploy,
):
    command.add_command(each)
