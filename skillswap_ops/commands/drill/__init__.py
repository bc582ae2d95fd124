"""`drill`: break something on purpose, prove what survived. One file a subcommand."""

import click

from skillswap_ops.commands.drill.compare import compare
from skillswap_ops.commands.drill.due import due
from skillswap_ops.commands.drill.heal import heal
from skillswap_ops.commands.drill.history import history
from skillswap_ops.commands.drill.list import list_drills
from skillswap_ops.commands.drill.predict import predict
from skillswap_ops.commands.drill.report import report
from skillswap_ops.commands.drill.run import run
from skillswap_ops.commands.drill.schedule import schedule
from skillswap_ops.commands.drill.selftest import selftest
from skillswap_ops.commands.drill.show import show


@click.group("drill")
def command() -> None:
    """Break something on purpose and prove what survived.

    \b
    Examples:
      skillswap-ops drill list
      skillswap-ops drill show pg-node-kill
      skillswap-ops drill run mongo-primary-kill pg-node-kill --yes
      skillswap-ops drill report --recheck
    """


for each in (
    list_drills,
    show,
    run,
    heal,
    report,
    predict,
    selftest,
    history,
    compare,
    due,
    schedule,
):
    command.add_command(each)
