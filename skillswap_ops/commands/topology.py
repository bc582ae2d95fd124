"""`topology`: show, check, start a file; export the schema."""

from pathlib import Path

import click

from skillswap_ops import console


@click.group("topology")
def command() -> None:
    """Show, check or start a topology file; export its JSON schema."""


@command.command("show")
@click.argument("name", type=click.Choice(["tp3", "large"]), default="tp3")
def show(name: str) -> None:
    """Print a shipped topology, to start your own from: TP3's, or one for many users.

    \b
    Examples:
      skillswap-ops topology show > my.yaml
      skillswap-ops topology show large > my.yaml
    """
    from cluster.topology_file import SHIPPED_NAMES

    click.echo(SHIPPED_NAMES[name].read_text("utf-8"), nl=False)


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
