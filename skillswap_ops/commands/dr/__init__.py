"""`dr`: the DR region of PostgreSQL. One file for looking, one for changing."""

import click

from skillswap_ops.commands.dr.change import failback, promote
from skillswap_ops.commands.dr.status import status


@click.group("dr")
def command() -> None:
    """The DR region of PostgreSQL: how far behind it is, promote it, fail back.

    \b
    Examples:
      skillswap-ops dr status
      skillswap-ops dr promote
      skillswap-ops dr failback
    """


for each in (status, promote, failback):
    command.add_command(each)
