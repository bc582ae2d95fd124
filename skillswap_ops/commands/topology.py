"""`topology`: show, check, start a file; export the schema."""

from pathlib import Path

import click

from skillswap_ops import console


@click.group("topology")
def command() -> None:
    """Show, check or start a topology file; export its JSON schema."""


@command.command("show")
def show() -> None:
    """Print the shipped TP3 topology, to start your own from.

    \b
    Example:
      skillswap-ops topology show > my.yaml
    """
    from cluster.topology_file import SHIPPED

    click.echo(SHIPPED.read_text("utf-8"), nl=False)


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Validate FILE and print its warnings; exit code 2 where it is wrong."""
    from cluster.inventory import inventory
    from cluster.topology_file import load_topology
    from cluster.topology_rules import lint_topology

    topology = load_topology(file)
    for warning in lint_topology(topology):
        console.say(f"warning: {warning}")
    console.say(f"{file}: right; {len(inventory(topology).nodes)} nodes")


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of topology files, for editors."""
    from cluster.topology_file import topology_schema

    click.echo(topology_schema())
