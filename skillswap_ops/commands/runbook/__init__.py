"""`runbook`: procedures for the bad day. One file a subcommand."""

import click

from skillswap_ops.commands.runbook.history import history
from skillswap_ops.commands.runbook.list import list_runbooks
from skillswap_ops.commands.runbook.resume import resume
from skillswap_ops.commands.runbook.run import run
from skillswap_ops.commands.runbook.show import show


@click.group("runbook")
def command() -> None:
    """Procedures for the bad day: read one, or be led through it step by step.

    `doctor` names the one that applies, with its arguments filled in.

    \b
    Examples:
      skillswap-ops runbook list
      skillswap-ops runbook show mongo-primary-lost
      skillswap-ops runbook run mongo-primary-lost --shard shard-a
      skillswap-ops runbook resume
      skillswap-ops runbook history --export timeline.md
    """


for each in (list_runbooks, show, run, resume, history):
    command.add_command(each)
