"""Monitoring on the local target: the exporter and a Prometheus, two more supervised servers.

They are in no topology: `monitor up` makes them, and their folders say that they are there.
"""

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import BLOCKS, Kind, Node, address
from cluster.render import render
from cluster.server import ConfigFile, OnChange, Server
from cluster.status import Health, NodeStatus
from cluster.web import request
from manifests.monitoring import rules

COMPONENT = "Monitoring"
EXPORTER_PORT = 9808
PROMETHEUS_PORT = 9090
EVERY_SECONDS = 5  # between two scrapes, and two looks at the rules
WITHIN_SECONDS = 4  # longer than the exporter's own deadline
RETENTION = "15d"
READY_SECONDS = 60.0
PACKAGE = "prometheus"


@dataclass(frozen=True)
class Firing:
    """An alert as Prometheus has it: `firing`, or `pending` until its time is over."""

    name: str
    state: str
    severity: str
    summary: str
    runbook: str
    since: str


def exporter_node(context: Context) -> Node:
    """Where the exporter listens."""
    return _node(context, "exporter-1", 1)


def prometheus_node(context: Context) -> Node:
    """Where Prometheus listens."""
    return _node(context, "prometheus-1", 2)


def _node(context: Context, name: str, index: int) -> Node:
    region = context.topology.region(None)
    at = address(context.topology, BLOCKS[Kind.MONITORING], index)
    return Node(name, Kind.MONITORING, "monitoring", region.name, region.zones[0], at)


def is_up(context: Context) -> bool:
    """Whether `monitor up` was called."""
    return context.layout.node(prometheus_node(context)).is_dir()


def servers(context: Context) -> tuple[Server, Server]:
    """The exporter, and the Prometheus that scrapes it.

    Raises MissingPrerequisiteError where no Prometheus is installed.
    """
    return exporter(context), prometheus(context)


def exporter(context: Context) -> Server:
    """`monitor serve`, which reads the cluster's own secrets and records."""
    node, root = exporter_node(context), context.layout.root
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(
            context.programs.python(), "-m", "skillswap_ops.main", "monitor", "serve",
            "--home", str(root.parent), "--cluster", root.name,
            "--listen", node.address, "--port", str(EXPORTER_PORT),
        ),
        folders=(),
        env=(("SKILLSWAP_OPS_EXPORTED", _digest(context)),),  # others: it has to be started anew
        ports=(EXPORTER_PORT,),
        stop_seconds=10,
        as_operator=True,
    )  # fmt: skip


def _digest(context: Context) -> str:
    """Of the nodes that the exporter reads, which it learns as it starts."""
    names = " ".join(f"{node.name}={node.address}" for node in context.inventory.nodes)
    return sha256(names.encode()).hexdigest()[:16]


def prometheus(context: Context) -> Server:
    """Prometheus with the alert rules; a changed rule is loaded by a reload."""
    node = prometheus_node(context)
    conf = context.layout.conf(node)
    config = render(
        "manifests",
        "prometheus.yml.j2",
        cluster=context.topology.name,
        every=EVERY_SECONDS,
        within=WITHIN_SECONDS,
        rules=rules.FILE,
        exporter=exporter_node(context).at(EXPORTER_PORT),
        itself=node.at(PROMETHEUS_PORT),
    )
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(
            context.programs.find("prometheus", PACKAGE),
            f"--config.file={conf / 'prometheus.yml'}",
            f"--storage.tsdb.path={context.layout.data(node)}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={node.at(PROMETHEUS_PORT)}",
            "--log.level=warn",
        ),
        files=(
            ConfigFile("prometheus.yml", config),
            ConfigFile(rules.FILE, rules.render(context.topology)),
        ),
        ports=(PROMETHEUS_PORT,),
        on_change=OnChange.RELOAD,
    )


def wait_until_ready(context: Context) -> None:
    """Until Prometheus has scraped the exporter. Raises UnreachableError."""

    def scraped() -> bool:
        found = _query(context, 'up{job="skillswap-ops"} == 1')
        if not found:
            raise UnreachableError("Prometheus has not scraped the exporter yet")
        return True

    wait_for(COMPONENT, scraped, seconds=READY_SECONDS, every=0.5, clock=context.clock)


def alerts(context: Context) -> tuple[Firing, ...]:
    """What fires, and what is about to. Raises UnreachableError where Prometheus does not answer.

    The answer: https://prometheus.io/docs/prometheus/latest/querying/api/#alerts
    """
    return parse_alerts(_get(context, "/api/v1/alerts"))


def parse_alerts(answer: dict[str, object]) -> tuple[Firing, ...]:
    """Prometheus's answer, the firing ones first. Pure."""
    data = answer.get("data")
    rows = data.get("alerts") if isinstance(data, dict) else None
    found = [_firing(row) for row in rows or [] if isinstance(row, dict)]
    return tuple(sorted(found, key=lambda one: (one.state != "firing", one.since, one.summary)))


def _firing(row: dict[str, object]) -> Firing:
    labels, notes = row.get("labels"), row.get("annotations")
    label = labels if isinstance(labels, dict) else {}
    note = notes if isinstance(notes, dict) else {}
    return Firing(
        name=str(label.get("alertname", "")),
        state=str(row.get("state", "")),
        severity=str(label.get("severity", "")),
        summary=str(note.get("summary", "")),
        runbook=str(note.get("runbook", "")),
        since=str(row.get("activeAt", "")),
    )


def status(context: Context) -> tuple[NodeStatus, ...]:
    """The two servers; none where monitoring is not up."""
    if not is_up(context):
        return ()
    return (_exporter_status(context), _prometheus_status(context))


def _exporter_status(context: Context) -> NodeStatus:
    """Whether it runs: each request would look at the whole cluster."""
    node = exporter_node(context)
    try:
        state = context.target.state(exporter(context))
    except OpsError as error:
        return NodeStatus(node, Health.DOWN, "down", detail=error.message)
    if not state.running:
        return NodeStatus(node, Health.DOWN, "down", detail=state.detail)
    return NodeStatus(node, Health.OK, "exporter")


def _prometheus_status(context: Context) -> NodeStatus:
    node = prometheus_node(context)
    try:
        answer = request(node.address, PROMETHEUS_PORT, "GET", "/-/ready")
    except UnreachableError as error:
        return NodeStatus(node, Health.DOWN, "down", detail=error.message)
    return NodeStatus(node, Health.OK if answer.ok else Health.DEGRADED, "prometheus")


def _query(context: Context, expression: str) -> bool:
    """Whether an expression has any series."""
    data = _get(context, f"/api/v1/query?query={quote(expression)}").get("data")
    return isinstance(data, dict) and bool(data.get("result"))


def _get(context: Context, path: str) -> dict[str, object]:
    answer = request(prometheus_node(context).address, PROMETHEUS_PORT, "GET", path)
    if not answer.ok:
        raise UnreachableError(f"Prometheus answers {answer.status}: {answer.text[:200]}")
    return answer.object()
