"""`services list` and `show`: the catalogue; they ask no cluster."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console

if TYPE_CHECKING:
    from manifests.services.model import Probe, Service

STAGES = ("mvp", "v1.1", "v1.2", "v2.0")
OUTPUT = click.option(
    "--output", "-o", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.command("list")
@click.option("--stage", type=click.Choice(STAGES), help="Only what is there at that stage.")
@OUTPUT
def list_services(stage: str | None, output: str) -> None:
    """List the services of the catalogue: stage, stores, dependencies, replicas.

    \b
    Examples:
      skillswap-ops services list
      skillswap-ops services list --stage mvp --output json
    """
    from manifests.services.catalogue import CATALOGUE
    from manifests.services.model import Stage

    found = CATALOGUE.at(Stage(stage or STAGES[-1]))
    if output == "json":
        console.print_json([service.model_dump(mode="json") for service in found])
        return
    console.print_table(
        ("service", "stage", "stores", "depends on", ">replicas"),
        [
            (
                service.name,
                service.stage.value,
                ", ".join(service.stores),
                ", ".join(service.depends_on),
                str(service.replicas.local),
            )
            for service in found
        ],
    )


@click.command("show")
@click.argument("name")
@OUTPUT
def show(name: str, output: str) -> None:
    """Print everything that is declared of the service NAME.

    \b
    Examples:
      skillswap-ops services show sessions
      skillswap-ops services show auth --output json
    """
    from manifests.services.catalogue import CATALOGUE

    service = CATALOGUE.named(name)
    if output == "json":
        console.print_json(service.model_dump(mode="json"))
        return
    for title, text in _lines(service):
        click.echo(f"{title:<14}{text}")


def _lines(service: "Service") -> list[tuple[str, str]]:
    asked, probes = service.resources, service.probes
    return [
        ("service", f"{service.name}: {service.title}"),
        ("stage", service.stage.value),
        ("owns", ", ".join(service.owns) or "-"),
        ("shares", ", ".join(service.shares) or "-"),
        ("stores", ", ".join(service.stores) or "-"),
        ("depends on", ", ".join(service.depends_on) or "-"),
        ("calls", "every deployed service" if service.reaches_all else "what it depends on"),
        ("replicas", f"local {service.replicas.local}, kubernetes {service.replicas.kubernetes}"),
        ("cpu", f"{asked.cpu_request}m to {asked.cpu_limit}m"),
        ("memory", f"{asked.memory_request} to {asked.memory_limit} MiB"),
        ("alive", _probe(probes.alive)),
        ("ready", _probe(probes.ready)),
        ("startup", f"within {probes.startup_seconds:g} s"),
        ("image", service.image),
        ("environment", ", ".join(f"{k}={v}" for k, v in service.environment.items()) or "-"),
    ]


def _probe(probe: "Probe") -> str:
    return (
        f"GET {probe.path} every {probe.period:g} s, {probe.timeout:g} s for an answer, "
        f"{probe.failures} failures in a row"
    )
