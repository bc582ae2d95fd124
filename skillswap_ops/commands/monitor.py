"""`monitor`: the exporter, the alert rules and dashboards, and a Prometheus of this machine's."""

from pathlib import Path

import click

from skillswap_ops import console
from skillswap_ops.options import Selection, confirm, selects_cluster, yes_option


@click.group("monitor")
def command() -> None:
    """Monitoring: a Prometheus exporter, alert rules with their runbooks, Grafana dashboards.

    \b
    Examples:
      skillswap-ops monitor up
      skillswap-ops monitor alerts
      skillswap-ops monitor rules --write /etc/prometheus/skillswap
      skillswap-ops monitor serve --port 9808
    """


@command.command("serve")
@click.option("--listen", default="127.0.0.1", show_default=True, help="The address.")
@click.option("--port", type=click.IntRange(1, 65535), default=9808, show_default=True)
@selects_cluster
def serve(selection: Selection, *, listen: str, port: int) -> None:
    """Answer Prometheus on /metrics until Ctrl-C.

    All nodes are asked at once at each scrape, over connections that are kept, with a deadline: one
    that is dead or frozen costs nothing. What is written down (backups, drills, certificates) is
    read once a minute.

    \b
    Examples:
      skillswap-ops monitor serve
      skillswap-ops monitor serve --listen 10.0.0.5 --port 9808
    """
    import signal
    import threading

    from skillswap_ops.monitoring import local
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    console.say(f"http://{listen}:{port}/metrics")
    local.serve(context, listen, port, over)


@command.command("up")
@selects_cluster
def up(selection: Selection) -> None:
    """Start the exporter and a Prometheus with the alert rules, beside the cluster's servers.

    Idempotent. `provision` then starts them again, `stop` and `destroy` end them. Needs the
    distribution's package prometheus.

    \b
    Examples:
      skillswap-ops monitor up
    """
    from manifests.monitoring import local as servers
    from skillswap_ops.monitoring import local
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    local.up(context)
    exporter = servers.exporter_node(context).at(servers.EXPORTER_PORT)
    prometheus = servers.prometheus_node(context).at(servers.PROMETHEUS_PORT)
    found = {"prometheus": f"http://{prometheus}/", "exporter": f"http://{exporter}/metrics"}
    if selection.json:
        console.print_json(found)
    else:
        for name, url in found.items():
            click.echo(f"{name}: {url}")


@command.command("down")
@selects_cluster
@yes_option
def down(selection: Selection, *, yes: bool) -> None:
    """Stop the exporter and Prometheus, and remove the series that it has stored.

    \b
    Examples:
      skillswap-ops monitor down
    """
    from skillswap_ops.monitoring import local
    from skillswap_ops.wiring import local_context

    context = local_context(selection, must_exist=True)
    confirm(
        f"This ends the monitoring of cluster {context.topology.name}, and removes what it has "
        "stored. Go on?",
        yes=yes,
    )
    local.down(context)


@command.command("alerts")
@selects_cluster
def alerts(selection: Selection) -> None:
    """Show the alerts of this machine's Prometheus, each with the runbook that answers it.

    Exit codes: 0 none fires, 1 one does. One that is pending has not lasted for its time yet.

    \b
    Examples:
      skillswap-ops monitor alerts
      skillswap-ops monitor alerts --output json
    """
    from manifests.monitoring import local
    from skillswap_ops.wiring import local_context

    found = local.alerts(local_context(selection, must_exist=True))
    if selection.json:
        console.print_json(found)
    elif found:
        console.print_table(
            ("alert", "state", "severity", "what", "runbook"),
            [(one.name, one.state, one.severity, one.summary, one.runbook) for one in found],
        )
    else:
        click.echo("no alert")
    if any(one.state == "firing" for one in found):
        raise SystemExit(1)


@command.command("rules")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the alert rules and the dashboards there. Default: print the rules.",
)
@selects_cluster
def rules(selection: Selection, *, folder: Path | None) -> None:
    """Print Prometheus's alert rules for this topology, or write them with Grafana's dashboards.

    Thresholds follow the topology's promises (`sla`). Each alert names its runbook.

    \b
    Examples:
      skillswap-ops monitor rules | promtool check rules
      skillswap-ops monitor rules --write /etc/prometheus/skillswap
    """
    from cluster.files import write_atomic
    from manifests.monitoring import rules as alert_rules
    from skillswap_ops.monitoring.local import files
    from skillswap_ops.wiring import home_folder, selected_topology

    topology = selected_topology(selection, home_folder(selection.home))
    if selection.json:
        console.print_json(alert_rules.alerts(topology))
    elif folder is None:
        click.echo(alert_rules.render(topology), nl=False)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files(topology).items():
            write_atomic(folder / name, text)
            console.say(str(folder / name))
