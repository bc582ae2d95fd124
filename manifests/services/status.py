"""How the deployed services are, instance by instance."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster import tls
from cluster.context import Context
from cluster.endpoint import Endpoint
from cluster.errors import UnreachableError
from cluster.inventory import Node
from cluster.server import Server
from cluster.status import Health, NodeStatus
from cluster.target import ServerState
from manifests.services import edge, executor, instances, observe, places, releases
from manifests.services.catalogue import CATALOGUE
from manifests.services.model import Service, Stage
from manifests.services.releases import Release, Releases


@dataclass(frozen=True)
class InstanceStatus:
    """An instance; `why` says what keeps it from being ready."""

    node: Node
    running: bool
    ready: bool
    version: str
    why: str
    memory_bytes: int


@dataclass(frozen=True)
class ServiceStatus:
    """A service. `revision` is the live one; `coming` the one that a rollout is at."""

    name: str
    stage: Stage
    wanted: int
    revision: int | None
    version: str
    coming: int | None
    last: str
    instances: tuple[InstanceStatus, ...]

    @property
    def ready(self) -> int:
        """How many instances get requests, the canary of a rollout apart."""
        canary = places.instance_name(self.name, places.CANARY)
        return sum(each.ready for each in self.instances if each.node.name != canary)

    @property
    def healthy(self) -> bool:
        """Whether all that should be there is, and nothing is half done."""
        return self.ready >= self.wanted and self.coming is None and self.revision is not None


@dataclass(frozen=True)
class ProxyStatus:
    """One of the services' HAProxies."""

    node: Node
    answers: bool
    up: int
    why: str
    memory_bytes: int


@dataclass(frozen=True)
class Overview:
    """All of it."""

    upto: Stage | None
    change: str
    services: tuple[ServiceStatus, ...]
    proxies: tuple[ProxyStatus, ...]

    @property
    def memory_bytes(self) -> int:
        """Of the instances and their proxies."""
        of_services = sum(one.memory_bytes for each in self.services for one in each.instances)
        return of_services + sum(proxy.memory_bytes for proxy in self.proxies)

    @property
    def healthy(self) -> bool:
        """Whether every service and every proxy is."""
        return all(each.healthy for each in self.services) and all(
            proxy.answers for proxy in self.proxies
        )


def overview(context: Context, memory: Mapping[str, int]) -> Overview:
    """Ask every instance and proxy; `memory` is in bytes, by server."""
    found = releases.load(context.layout.releases)
    if not found.services:
        return Overview(None, "", (), ())
    asked = [
        (service, instances.blank(_place(context, service.name, number)))
        for service in CATALOGUE.services
        if service.name in found.services
        for number in _numbers(context, found.services[service.name], service)
    ]
    said = dict(zip([s.name for _, s in asked], observe.healths(asked), strict=True))
    views, proxies = _proxies(context, memory)
    rows = []
    for service in CATALOGUE.services:
        of = [server for each, server in asked if each.name == service.name]
        if of:
            seen = tuple(_instance(context, one, said[one.name], views, memory) for one in of)
            rows.append(_service(service, found.services[service.name], seen))
    change = found.change.what if found.change else ""
    return Overview(found.upto, change, tuple(rows), proxies)


def _numbers(context: Context, release: Release, service: Service) -> list[int]:
    """The instances that should be, and those that are there for a rollout or too many."""
    numbers = list(range(1, release.replicas + 1))
    others = (*range(release.replicas + 1, executor.MOST + 1), places.CANARY)
    return numbers + [number for number in others if _state(context, service.name, number).running]


def _state(context: Context, service: str, number: int) -> ServerState:
    return _state_of(context, instances.blank(_place(context, service, number)))


def _place(context: Context, service: str, number: int) -> Node:
    return places.instance(context.topology, service, number, context.trust)


def _state_of(context: Context, server: Server) -> ServerState:
    try:
        return context.target.state(server)
    except UnreachableError:
        return ServerState(running=False, detail="nothing is supervised")


def _instance(
    context: Context,
    server: Server,
    said: observe.Health,
    views: list[edge.View],
    memory: Mapping[str, int],
) -> InstanceStatus:
    state = _state_of(context, server)
    routed = observe.in_rotation(server.name, views)
    why = said.why if state.running else f"not running ({state.detail})"
    if state.running and said.ready and not routed:
        why = "ready, but a proxy sends it no requests"
    return InstanceStatus(
        server.node,
        state.running,
        state.running and said.ready and routed,
        said.version,
        why,
        memory.get(server.name, 0),
    )


def _service(service: Service, release: Release, seen: tuple[InstanceStatus, ...]) -> ServiceStatus:
    live = release.revision(release.current)
    newest = release.revisions[-1] if release.revisions else None
    last = ""
    if newest and newest.number != release.current:
        last = f"revision {newest.number} {newest.outcome}" + (
            f": {newest.why}" if newest.why else ""
        )
    return ServiceStatus(
        service.name,
        service.stage,
        release.replicas,
        release.current,
        live.version if live else "",
        release.goal,
        last,
        seen,
    )


def _proxies(
    context: Context, memory: Mapping[str, int]
) -> tuple[list[edge.View], tuple[ProxyStatus, ...]]:
    views, rows = [], []
    for node in places.proxies(context.topology):
        size = memory.get(node.name, 0)
        try:
            view = edge.view(context, node)
        except UnreachableError as error:
            rows.append(
                ProxyStatus(node, answers=False, up=0, why=error.message, memory_bytes=size)
            )
            continue
        views.append(view)
        rows.append(ProxyStatus(node, answers=True, up=len(view.up), why="", memory_bytes=size))
    return views, tuple(rows)


def status(context: Context) -> tuple[NodeStatus, ...]:
    """Instances and proxies as `status` shows every node."""
    seen = overview(context, {})
    rows = [
        NodeStatus(
            proxy.node,
            Health.OK if proxy.answers else Health.DOWN,
            "proxy" if proxy.answers else "-",
            detail=f"{proxy.up} instances up" if proxy.answers else proxy.why,
        )
        for proxy in seen.proxies
    ]
    for service in seen.services:
        rows += [_node_status(one) for one in service.instances]
    return tuple(rows)


def _node_status(one: InstanceStatus) -> NodeStatus:
    health = Health.OK if one.ready else Health.DEGRADED if one.running else Health.DOWN
    return NodeStatus(one.node, health, "service" if one.running else "-", detail=one.why)


def endpoints(context: Context, found: Releases) -> tuple[Endpoint, ...]:
    """How clients reach the API, through each proxy; nothing where it is not deployed."""
    if not found.services:
        return ()
    return tuple(
        Endpoint(
            f"api-{node.name}",
            "the public API, through the gateway",
            f"{tls.scheme(context)}://{node.at(places.PORT)}",
        )
        for node in places.proxies(context.topology)
    )


def internal_endpoints(context: Context, found: Releases) -> tuple[Endpoint, ...]:
    """How each service is reached by the others, through each proxy."""
    return tuple(
        Endpoint(
            f"{name}-{node.name}",
            f"{CATALOGUE.named(name).title}: between services, past the gateway's checks",
            f"{tls.scheme(context)}://{node.at(places.internal_port(name))}",
        )
        for name in CATALOGUE.names
        if name in found.services
        for node in places.proxies(context.topology)
    )
