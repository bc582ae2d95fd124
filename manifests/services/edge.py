"""The services' own HAProxies: what clients of the API and the services themselves connect to.

On Kubernetes a Service and an Ingress stand in their place; the probes are the same.
"""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from cluster import tls
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Node
from cluster.render import render
from cluster.server import ConfigFile, OnChange, Server
from cluster.web import basic, request
from manifests.services import places
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import GATEWAY, Probe
from manifests.services.settings import Deadlines

COMPONENT = "Service proxies"
STATS_USER = "stats"
STATS_SECRET = "services-stats"  # noqa: S105 - the name of the secret
MARGIN = 0.5  # seconds that a proxy may be late with a check on a loaded machine
STOP_MARGIN = 5  # seconds beside drain and deadline, to close stores and exit
CONNECT_SECONDS = 2


def drain_seconds(probe: Probe) -> float:
    """How long an instance that is being stopped goes on serving.

    Until every proxy has seen it unready: `failures` checks, the last one answered late.
    """
    return probe.period * probe.failures + probe.timeout + MARGIN


def stop_seconds(probe: Probe, deadlines: Deadlines) -> int:
    """How long a clean stop may take: the drain, and the longest request that came during it."""
    return math.ceil(drain_seconds(probe) + deadlines.request + STOP_MARGIN)


@dataclass(frozen=True)
class Way:
    """A service as the proxies' template needs it: who serves it, on which port it is reached."""

    name: str
    port: int
    probe: Probe
    instances: tuple[Node, ...]


def ways(context: Context, replicas: Mapping[str, int]) -> tuple[Way, ...]:
    """The ways to these services, each with its canary, so that a rollout reloads no proxy."""
    return tuple(
        Way(
            service.name,
            places.internal_port(service.name),
            service.probes.ready,
            tuple(
                places.instance(context.topology, service.name, number)
                for number in (*range(1, replicas[service.name] + 1), places.CANARY)
            ),
        )
        for service in CATALOGUE.services
        if service.name in replicas
    )


def servers(context: Context, replicas: Mapping[str, int]) -> tuple[Server, ...]:
    """The proxies in front of these services (replicas by name); none where there is no service."""
    if not replicas:
        return ()
    return tuple(_server(context, node, replicas) for node in places.proxies(context.topology))


def _server(context: Context, node: Node, replicas: Mapping[str, int]) -> Server:
    conf = context.layout.conf(node) / "haproxy.cfg"
    found = ways(context, replicas)
    return Server(
        name=node.name,
        node=node,
        component=COMPONENT,
        argv=(context.programs.find("haproxy", "haproxy"), "-W", "-db", "-f", str(conf)),
        files=(
            ConfigFile(conf.name, configuration(context, node, found), secret=True),
            *tls.files(context, node, live=False),
        ),
        folders=("conf", "run"),
        ports=(places.PORT, places.STATS_PORT, *(way.port for way in found)),
        on_change=OnChange.RELOAD,
        stop_seconds=5,
    )


def configuration(context: Context, node: Node, found: tuple[Way, ...]) -> str:
    """A proxy's haproxy.cfg."""
    return render(
        "manifests",
        "web.cfg.j2",
        node=node,
        port=places.PORT,
        stats_port=places.STATS_PORT,
        ways=found,
        public=GATEWAY,
        deadline=Deadlines().request,
        connect=CONNECT_SECONDS,
        socket=context.layout.run(node) / "haproxy.sock",
        user=STATS_USER,
        password=context.secrets.get(STATS_SECRET).get_secret_value(),
        ms=lambda seconds: f"{round(seconds * 1000)}ms",
        scheme=tls.scheme(context),
        tls=tls.pem_file(context, node),
        trust=context.trust,
    )


@dataclass(frozen=True)
class View:
    """Which instances a proxy sends requests to."""

    up: frozenset[str]


def parse_view(text: str) -> View:
    """The page `/;csv`: https://docs.haproxy.org/2.6/management.html#9.1

    "UP 1/2" is an instance on its way down, and still is sent requests.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    return View(
        frozenset(
            row["svname"]
            for row in rows
            if row["svname"] not in {"FRONTEND", "BACKEND"} and row["status"].startswith("UP")
        )
    )


def view(context: Context, node: Node, seconds: float = 1.0) -> View:
    """What a proxy thinks now. Raises UnreachableError."""
    headers = basic(STATS_USER, context.secrets.get(STATS_SECRET).get_secret_value())
    answer = request(
        node.address,
        places.STATS_PORT,
        "GET",
        "/;csv",
        headers=headers,
        seconds=seconds,
        trust=context.trust,
    )
    if not answer.ok:
        raise UnreachableError(f"{node.name}'s statistics are refused (HTTP {answer.status})")
    return parse_view(answer.text)


def views(context: Context) -> tuple[View, ...]:
    """Of every proxy that answers."""
    found = []
    for node in places.proxies(context.topology):
        try:
            found.append(view(context, node))
        except UnreachableError:
            continue
    return tuple(found)
