"""`endpoints`: connection strings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from cluster.endpoint import Endpoint


@click.command("endpoints")
@click.argument("name", required=False)
@click.option("--reveal", is_flag=True, help="Print passwords. Mind who reads your screen.")
@selects_cluster
def command(selection: Selection, *, name: str | None, reveal: bool) -> None:
    """Print connection strings; secrets are masked unless asked.

    With NAME only that one's string is printed, for use in a script.

    \b
    Examples:
      skillswap-ops endpoints
      psql "$(skillswap-ops endpoints pg-payments --reveal)"
    """
    from skillswap_ops.engines import all_endpoints
    from skillswap_ops.wiring import context_of

    rows = all_endpoints(context_of(selection, must_exist=True), reveal=reveal)
    print_endpoints(rows, name, json=selection.json)


def print_endpoints(rows: "Sequence[Endpoint]", name: str | None, *, json: bool) -> None:
    """All of them, or the one of that name alone."""
    if name:
        uri = next((row.uri for row in rows if row.name == name), None)
        if uri is None:
            known = ", ".join(row.name for row in rows) or "none"
            raise click.UsageError(f"there is no endpoint {name}; there are: {known}")
        click.echo(uri)
    elif json:
        console.print_json(rows)
    else:
        for row in rows:
            click.secho(f"{row.name}", bold=True, nl=False)
            click.echo(f"  {row.purpose}\n  {row.uri}")
