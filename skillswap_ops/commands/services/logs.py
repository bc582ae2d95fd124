"""`services logs`: what a service, or one instance of it, printed."""

import click

from skillswap_ops.commands.logs import tail
from skillswap_ops.options import Selection, selects_cluster


@click.command("logs")
@click.argument("name", metavar="SERVICE|INSTANCE")
@click.option("-n", "--lines", default=50, show_default=True, help="How many of each one's end.")
@click.option("-F", "--follow", is_flag=True, help="Go on as they grow, until Ctrl-C.")
@selects_cluster
def logs(selection: Selection, *, name: str, lines: int, follow: bool) -> None:
    """Print or follow the logs of a service's instances, or of one (`auth-1`, `web-1`).

    \b
    Examples:
      skillswap-ops services logs auth
      skillswap-ops services logs auth-canary -n 200
      skillswap-ops services logs chat-2 --follow
    """
    from manifests.services.catalogue import CATALOGUE
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    folder = context.layout.log("x").parent
    known = sorted(path.stem for path in folder.glob("*.log"))
    of = {
        each: service
        for service in CATALOGUE.names
        for each in known
        if each.rpartition("-")[0] == service
    }
    of |= {each: "web" for each in known if each.rpartition("-")[0] == "web"}
    chosen = [each for each, service in of.items() if name in {each, service}]
    if not chosen:
        there = ", ".join(sorted({*of, *of.values()})) or "none"
        raise click.UsageError(f"there is no log of {name}; there are: {there}")
    tail({each: context.layout.log(each) for each in chosen}, lines, follow=follow)
