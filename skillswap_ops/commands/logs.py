"""`logs`: what a server printed."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from skillswap_ops.options import Selection, selects_cluster


@click.command("logs")
@click.argument("server")
@click.option("-n", "--lines", default=50, show_default=True, help="How many lines of its end.")
@click.option("-F", "--follow", is_flag=True, help="Go on as it grows, until Ctrl-C.")
@selects_cluster
def command(selection: Selection, *, server: str, lines: int, follow: bool) -> None:
    """Print or follow the log of SERVER (`pg1`, `shard-a-2`, `pg1-pgbouncer`, …).

    \b
    Examples:
      skillswap-ops logs pg1
      skillswap-ops logs haproxy-1 --follow
      skillswap-ops logs pg1-0/pgbouncer --target kubernetes
    """
    if selection.target == "kubernetes":
        from skillswap_ops.kubernetes.logs import print_logs

        print_logs(selection, server, lines, follow=follow)
        return
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    known = sorted(path.stem for path in context.layout.log("x").parent.glob("*.log"))
    if server not in known:
        raise click.UsageError(f"there is no server {server}; there are: {', '.join(known)}")
    tail({server: context.layout.log(server)}, lines, follow=follow)


def tail(logs: Mapping[str, Path], lines: int, *, follow: bool) -> None:
    """The end of each log, by its server's name, which is shown where there are several."""
    with ExitStack() as stack:
        files = {
            f"{name} | " if len(logs) > 1 else "": stack.enter_context(
                path.open(encoding="utf-8", errors="replace")
            )
            for name, path in logs.items()
        }
        for prefix, file in files.items():
            for line in file.readlines()[-lines:]:
                click.echo(prefix + line, nl=False)
        while follow:
            grown = [(prefix, line) for prefix, file in files.items() if (line := file.readline())]
            for prefix, line in grown:
                click.echo(prefix + line, nl=False)
            if not grown:
                time.sleep(0.2)
