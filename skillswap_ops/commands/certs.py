"""`certs`: the certificates that ports show, and new ones without a restart."""

import sys
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.shown import Shown


@click.group("certs")
def command() -> None:
    """The cluster's certificates: look at them where clients see them, replace them in use.

    \b
    Examples:
      skillswap-ops certs list
      skillswap-ops certs rotate
    """


@command.command("list")
@selects_cluster
def listing(selection: Selection) -> None:
    """Ask every port for its certificate, verify it as a client does, and say how long it lasts.

    Exit code 1 where a port shows none, or another than its node was given.

    \b
    Examples:
      skillswap-ops certs list
      skillswap-ops certs list --output json
    """
    from skillswap_ops import certificates
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    found = certificates.listed(context)
    if selection.json:
        console.print_json(found)
    else:
        console.print_table(
            ("server", ">port", "shows", "names", ">days left"), [_row(one) for one in found.ports]
        )
        click.echo(f"The authority itself is valid for {found.authority_days:.0f} days more.")
    if not found.as_given:
        sys.exit(1)


def _row(one: "Shown") -> tuple[str, str, str, str, str]:
    days = "" if one.days is None else f"{one.days:.1f}"
    return one.server, str(one.port), one.shows.value, one.why or ", ".join(one.names), days


@command.command("rotate")
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
@selects_cluster
def rotate(selection: Selection, *, nodes: tuple[str, ...]) -> None:
    """Give every node, or these, a new key and certificate, one after the other.

    Nothing restarts and open connections go on: a server is told to read its file anew, and the
    next node follows once every port shows the new one. The authority stays what it is. Cut off
    anywhere, the same command, or `provision`, goes on.

    \b
    Examples:
      skillswap-ops certs rotate
      skillswap-ops certs rotate pg1 haproxy-1
    """
    from skillswap_ops import certificates
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    done = certificates.rotate(context, nodes, console.say)
    if selection.json:
        console.print_json(done)
        return
    console.print_table(
        ("node", "taken by", ">after"),
        [(one.node, ", ".join(one.servers) or "stopped", f"{one.seconds:.1f} s") for one in done],
    )
