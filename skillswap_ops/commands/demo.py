"""`demo`: the whole story on one machine."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from skillswap_ops.drill_series import End

DATABASES = ("mongo-primary-kill", "pg-node-kill")
SERVICES = ("chain-double-kill",)
STAGE = "mvp"


@click.command("demo")
@click.option("--destroy", "and_destroy", is_flag=True, help="Remove the cluster at the end.")
@selects_cluster
def command(selection: Selection, *, and_destroy: bool) -> None:
    """Build it all here with its services, break it, print the verdicts.

    One drill of each database, and one of both at once, seen from the services. Takes about five
    minutes and three gigabytes of memory. The cluster is left running to be looked at;
    `skillswap-ops destroy` removes it.

    \b
    Examples:
      skillswap-ops demo
      skillswap-ops demo --destroy
    """
    from manifests.services.model import Stage
    from skillswap_ops.commands.drill.run import follow, print_ends
    from skillswap_ops.commands.provision import run_provision
    from skillswap_ops.commands.services.change import run_change
    from skillswap_ops.commands.status import draw
    from skillswap_ops.deploying import deployment
    from skillswap_ops.drill_series import Wishes, worst_exit_code
    from skillswap_ops.drilling import any_seed, chosen
    from skillswap_ops.overview import overview
    from skillswap_ops.provisioning import destroy
    from skillswap_ops.wiring import local_context

    console.say("1. Build: real servers, one address each.")
    run_provision(selection)
    context = local_context(selection, must_exist=True)
    console.err().print(draw(overview(context)))
    console.say(
        "2. Break: write through the router and the proxies, kill a primary of each engine."
    )
    wishes = Wishes(any_seed())
    ends = follow(selection, chosen(DATABASES), wishes, full=False, yes=True)
    if not _ended_early(ends):
        console.say("3. Deploy: the services of the MVP, two instances each.")
        run_change(context, deployment(context, Stage(STAGE), None, {}))
        console.say("4. Break: users book and pay through the API, kill both primaries at once.")
        ends += follow(selection, chosen(SERVICES), wishes, full=False, yes=True)
    console.say("5. The verdicts, from the ledgers of what was acknowledged, read back.")
    print_ends(selection, ends)
    if and_destroy:
        destroy(context)
        console.say("Destroyed.")
    else:
        console.say(
            "Look around: skillswap-ops status, endpoints, verify, drill report.\n"
            "Remove it:   skillswap-ops destroy"
        )
    code = worst_exit_code(ends)
    if code:
        raise SystemExit(code)


def _ended_early(ends: "list[End]") -> bool:
    """Whether somebody stopped a drill, or its fault is still in place: then nothing follows."""
    from cluster.drill.report import RunSummary
    from cluster.errors import FaultNotUndoneError
    from skillswap_ops.drill_series import NotRun

    return any(
        isinstance(end, NotRun)
        or (
            isinstance(end, RunSummary)
            and (end.interrupted or end.exit_code == FaultNotUndoneError.exit_code)
        )
        for end in ends
    )
