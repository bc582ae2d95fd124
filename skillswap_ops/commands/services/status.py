"""`services status` and `endpoints`: what is deployed, and how it is reached."""

from typing import TYPE_CHECKING

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, selects_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manifests.services.status import InstanceStatus, Overview, ServiceStatus

MEGABYTE = 1024**2


@click.command("status")
@selects_cluster
def status(selection: Selection) -> None:
    """Show each service: instances ready of wanted, revision, version, and why not.

    Exit code 1 where a service or a proxy is not healthy, or nothing is deployed.

    \b
    Examples:
      skillswap-ops services status
      skillswap-ops services status --output json | jq '.services[].ready'
    """
    if selection.target == "kubernetes":
        _on_kubernetes(selection)
        return
    from manifests.services.status import overview
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    seen = overview(context, context.target.memory())
    if selection.json:
        console.print_json(_record(seen))
    elif seen.services:
        _draw(seen)
    if not seen.services:
        console.say("nothing is deployed; `skillswap-ops services deploy --stage mvp` does")
    if not seen.healthy or not seen.services:
        raise SystemExit(1)


def _on_kubernetes(selection: Selection) -> None:
    from manifests.services.catalogue import CATALOGUE
    from skillswap_ops.kubernetes.client import cluster_api
    from skillswap_ops.kubernetes.rollout import look
    from skillswap_ops.wiring import home_folder, selected_topology

    api = cluster_api(selected_topology(selection, home_folder(selection.home)))
    rows = [(name, look(api, name)) for name in CATALOGUE.names]
    if selection.json:
        console.print_json(dict(rows))
    else:
        console.print_table(
            ("service", ">ready", ">wanted", "image", "why not"),
            [(n, str(r.ready), str(r.wanted), r.image, r.stuck) for n, r in rows],
        )
    if not all(row.complete for _, row in rows):
        raise SystemExit(1)


def _draw(seen: "Overview") -> None:
    from rich.text import Text

    table = console.table("service", "", "address", "zone", ">memory", "why not, or what else")
    for service in seen.services:
        style = "green" if service.healthy else "red"
        table.add_row(
            Text(service.name, "bold"),
            Text(f"{service.ready}/{service.wanted} ready", style),
            Text(_revision(service)),
            Text(service.version, "dim"),
            "",
            Text(service.last, "yellow"),
        )
        for one in service.instances:
            table.add_row(*_cells(one, service))
    for proxy in seen.proxies:
        table.add_row(
            Text(proxy.node.name, "bold"),
            Text("proxy" if proxy.answers else "down", "green" if proxy.answers else "red"),
            proxy.node.address,
            proxy.node.zone,
            _size(proxy.memory_bytes),
            f"{proxy.up} instances up" if proxy.answers else proxy.why,
        )
    stage = f"stage {seen.upto.value}" if seen.upto else ""
    table.caption = f"{stage}; {_size(seen.memory_bytes)} resident in all"
    table.caption_justify = "left"
    console.out().print(table)
    if seen.change:
        console.say(f"unfinished: {seen.change}; the next `services` command finishes it")


def _cells(one: "InstanceStatus", service: "ServiceStatus") -> "Iterator[str]":
    state = "ready" if one.ready else "not ready" if one.running else "down"
    other = one.version if one.version and one.version != service.version else ""
    yield f"  {one.node.name}"
    yield state
    yield one.node.address
    yield one.node.zone
    yield _size(one.memory_bytes) if one.memory_bytes else ""
    yield "; ".join(filter(None, (one.why, other)))


def _revision(service: "ServiceStatus") -> str:
    if service.revision is None:
        return "no revision"
    coming = f" → {service.coming}" if service.coming else ""
    return f"revision {service.revision}{coming}"


def _size(size: int) -> str:
    return f"{size / MEGABYTE:,.0f} MB"


def _record(seen: "Overview") -> dict[str, object]:
    return {
        "stage": seen.upto,
        "healthy": seen.healthy and bool(seen.services),
        "change": seen.change,
        "memory_bytes": seen.memory_bytes,
        "services": [
            {
                "service": service.name,
                "wanted": service.wanted,
                "ready": service.ready,
                "revision": service.revision,
                "coming": service.coming,
                "version": service.version,
                "last": service.last,
                "instances": [
                    {
                        "instance": one.node.name,
                        "address": one.node.address,
                        "zone": one.node.zone,
                        "running": one.running,
                        "ready": one.ready,
                        "version": one.version,
                        "why": one.why,
                        "memory_bytes": one.memory_bytes,
                    }
                    for one in service.instances
                ],
            }
            for service in seen.services
        ],
        "proxies": [
            {
                "proxy": proxy.node.name,
                "address": proxy.node.address,
                "zone": proxy.node.zone,
                "answers": proxy.answers,
                "up": proxy.up,
                "why": proxy.why,
                "memory_bytes": proxy.memory_bytes,
            }
            for proxy in seen.proxies
        ],
    }


@click.command("endpoints")
@click.argument("name", required=False)
@selects_cluster
def endpoints(selection: Selection, *, name: str | None) -> None:
    """Print the URLs of the public API, and of each service between services.

    With NAME only that one's, for use in a script.

    \b
    Examples:
      skillswap-ops services endpoints
      curl "$(skillswap-ops services endpoints api-web-1)/healthz"
    """
    from manifests.services import releases
    from manifests.services.status import endpoints, internal_endpoints
    from skillswap_ops.commands.endpoints import print_endpoints
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    found = releases.load(context.layout.releases)
    rows = (*endpoints(context, found), *internal_endpoints(context, found))
    print_endpoints(rows, name, json=selection.json)
