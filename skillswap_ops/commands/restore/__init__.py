"""`restore`: bring an engine's data back, beside it or in its place. One file an engine."""

import click

from skillswap_ops.commands.restore.both import both
from skillswap_ops.commands.restore.mongo import mongo
from skillswap_ops.commands.restore.pg import pg


@click.group("restore")
def command() -> None:
    """Bring data back from backups: beside the cluster to look at it, or in the cluster's place.

    \b
    Examples:
      skillswap-ops restore pg --to 2026-11-26T14:03:20Z --into /srv/look --start
      skillswap-ops restore pg --to before-migration-12 --in-place
      skillswap-ops restore mongo --to '10m ago' --into /srv/look
      skillswap-ops restore all --to 2026-11-26T14:03:20Z
    """


for each in (pg, mongo, both):
    command.add_command(each)
