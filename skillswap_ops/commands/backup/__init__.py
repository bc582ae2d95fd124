"""`backup`: take, list, verify and expire backups of every engine. One file a subcommand."""

import click

from skillswap_ops.commands.backup.keep import expire, mark, verify
from skillswap_ops.commands.backup.list import list_backups
from skillswap_ops.commands.backup.prove import prove
from skillswap_ops.commands.backup.run import run


@click.group("backup")
def command() -> None:
    """Take, list, verify and expire backups, of all engines or of those that are named.

    \b
    Examples:
      skillswap-ops backup run --kind full
      skillswap-ops backup list postgres
      skillswap-ops backup verify
      skillswap-ops backup prove
      skillswap-ops backup mark before-migration-12
    """


for each in (run, list_backups, verify, prove, expire, mark):
    command.add_command(each)
