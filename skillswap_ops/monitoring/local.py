"""Monitoring on this machine: brought up, taken down, and the exporter's own server."""

import threading

from prometheus_client import CollectorRegistry, start_http_server

from cluster.errors import OpsError
from cluster.local.steps import start_steps, supervisor_step
from cluster.lock import exclusive
from cluster.plan import execute
from cluster.topology import Topology
from manifests.monitoring import dashboards, local, rules
from skillswap_ops.monitoring.exporter import Exporter
from skillswap_ops.stepping import raise_failures
from skillswap_ops.wiring import LocalContext

AGAIN = "`skillswap-ops logs exporter-1` and `logs prometheus-1` say more"


def up(context: LocalContext) -> None:
    """Start the exporter and Prometheus, and wait until the one has scraped the other. Idempotent.

    Raises MissingPrerequisiteError where no Prometheus is installed.
    """
    servers = local.servers(context)
    with exclusive(context.layout.lock, "monitor up"):
        steps = (
            supervisor_step(context.target, context.clock),
            *start_steps(context.target, servers),
        )
        raise_failures(execute(steps, lambda _: None), AGAIN)
        local.wait_until_ready(context)


def down(context: LocalContext) -> None:
    """Stop both, and remove what they have stored. Idempotent."""
    with exclusive(context.layout.lock, "monitor down"):
        for server in reversed(local.servers(context)):
            context.target.forget(server)


def serve(context: LocalContext, address: str, port: int, over: threading.Event) -> None:
    """Answer Prometheus until `over`. Raises OpsError where the port is taken."""
    exporter = Exporter(context)
    registry = CollectorRegistry()
    registry.register(exporter)
    try:
        server, thread = start_http_server(port, addr=address, registry=registry)
    except OSError as error:
        raise OpsError(
            f"{address}:{port} cannot be listened on: {error.strerror}", "choose another --port"
        ) from error
    exporter.start()
    try:
        over.wait()
    finally:
        server.shutdown()
        thread.join()
        exporter.close()


def files(topology: Topology) -> dict[str, str]:
    """The alert rules and the dashboards, by file name."""
    return {
        rules.FILE: rules.render(topology),
        **{f"{each.uid}.json": dashboards.render(each) for each in dashboards.DASHBOARDS},
    }
