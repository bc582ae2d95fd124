"""Services: the microservices and their gateway, each with its settings, scaled by its load."""

from collections.abc import Iterable

from lightkube.models.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from lightkube.models.core_v1 import EnvVar
from lightkube.models.networking_v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    ServiceBackendPort,
)
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from lightkube.resources.networking_v1 import Ingress

from cluster.inventory import Kind, Node
from cluster.kubernetes_settings import Pod
from cluster.server import ConfigFile, Server
from cluster.tls import PEM
from cluster.topology import Topology
from manifests.kubernetes import cache, certificates, names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.edge import NAME as EDGE
from manifests.kubernetes.files import files
from manifests.kubernetes.inventory import ANYWHERE
from manifests.kubernetes.objects import Manifest, Typed, manifests
from manifests.kubernetes.programs import LAYOUT
from manifests.kubernetes.routers import NAME as ROUTERS
from manifests.services import edge, instances, places
from manifests.services.instances import CONFIG, Place
from manifests.services.model import GATEWAY, Service
from manifests.services.settings import Deadlines, ServiceTls

NAME = "services"
MOST = 4  # an autoscaler goes up to so many times the least
BUSY_PERCENT = 70  # of the cores asked for
CALM_SECONDS = 300  # before it goes down: a lesson's end is not the end of the evening
# Endpoints of a Service follow a pod's readiness within seconds, proxies on every machine.
ENDPOINT_SECONDS = 5
INSTANCE = "SKILLSWAP_INSTANCE"
NGINX = "nginx.ingress.kubernetes.io"


def component(blueprint: Blueprint) -> Component:
    """Every service; they come when their stores are there."""
    objects = [each for service in blueprint.services for each in _objects(blueprint, service)]
    redis = (cache.NAME,) if blueprint.stores.redis else ()
    return Component(
        Idea.SERVICES,
        NAME,
        tuple(objects),
        (ROUTERS, EDGE, *redis),
        blueprint.topology.region(None).name,
    )


def replicas(topology: Topology, service: Service) -> int:
    """The least instances: the topology's word, else the catalogue's."""
    return topology.kubernetes.service_replicas or service.replicas.kubernetes


def version(topology: Topology) -> str:
    """What runs: the image's tag or digest."""
    return topology.kubernetes.images.tool.rpartition(":")[2]


def address(topology: Topology, service: str) -> str:
    """The base URL of a service."""
    scheme = "https" if topology.tls.enabled else "http"
    return f"{scheme}://{names.dns(topology, names.service_name(service))}:{places.PORT}"


def server(blueprint: Blueprint, service: Service) -> Server:
    """An instance as the local target describes it, with the addresses of pods."""
    topology, region = blueprint.topology, blueprint.topology.region(None)
    name = names.service_name(service.name)
    node = Node(
        name, Kind.SERVICE, name, region.name, "", names.dns(topology, name), None, ANYWHERE
    )
    ready = service.probes.ready
    found = instances.settings_at(
        blueprint.secrets,
        blueprint.stores,
        service,
        version(topology),
        Place(
            instance=service.name,
            host=ANYWHERE,
            zone="",
            upstreams=_upstreams(topology, service, blueprint.services),
            tls=_tls(topology, node),
            drain_seconds=edge.drain_seconds(ready) + ENDPOINT_SECONDS,
        ),
    )
    card = topology.kubernetes.card
    found = instances.with_settings(found, {"providers.card": card} if card else {})
    return Server(
        name=name,
        node=node,
        component=instances.COMPONENT,
        argv=(
            "python",
            "-P",
            "-m",
            "skillswap_ops.services",
            service.name,
            "--config",
            str(LAYOUT.conf(node) / CONFIG),
        ),
        files=(ConfigFile(CONFIG, found.to_json() + "\n", secret=True),),
        folders=("conf",),
        env=tuple(sorted(service.environment.items())),
        ports=(places.PORT,),
        stop_seconds=edge.stop_seconds(ready, Deadlines()) + ENDPOINT_SECONDS,
    )


def _tls(topology: Topology, node: Node) -> ServiceTls | None:
    if not topology.tls.enabled:
        return None
    own = str(LAYOUT.conf(node) / PEM)
    return ServiceTls(certificate=own, trust=certificates.trusted(topology))


def _upstreams(topology: Topology, service: Service, deployed: Iterable[Service]) -> dict[str, str]:
    called = instances.called_by(service, [each.name for each in deployed])
    return {name: address(topology, name) for name in called}


def _objects(blueprint: Blueprint, service: Service) -> tuple[Manifest, ...]:
    topology, runs = blueprint.topology, server(blueprint, service)
    name = runs.node.name
    held = files(topology, blueprint.secrets, name, names.SERVICE, [runs])
    choice = names.selector(names.SERVICE, name)
    region = runs.node.region
    room = pods.Room(
        component=names.SERVICE,
        instance=name,
        node=name,
        priority=None,
        affinity=placement.affinity(region, blueprint.zones(region), choice, strictly=False),
        spread=(placement.spread(choice, strictly=False),),
    )
    template = pods.template(topology, room, [_box(topology, service, runs)], held)
    rows: list[Typed] = [
        workloads.service(topology, name, names.SERVICE, {"http": places.PORT}),
        workloads.deployment(topology, name, names.SERVICE, template, replicas=None),
        _autoscaler(topology, service, name),
        workloads.budget(topology, name, names.SERVICE, away=1),
    ]
    if service.name == GATEWAY and topology.kubernetes.host:
        rows.append(_ingress(topology, name, topology.kubernetes.host))
    return (*held.objects, *manifests(rows))


def _box(topology: Topology, service: Service, runs: Server) -> pods.Box:
    asked, tls = service.resources, topology.tls.enabled
    return pods.Box(
        server=runs,
        name=service.name,
        image=topology.kubernetes.images.tool,
        size=Pod(cpu=asked.cpu_request / 1000, memory=asked.memory_limit / 1024),
        cpu_limit=asked.cpu_limit / 1000,
        ready=probes.of_service(service.probes.ready, places.PORT, tls=tls),
        alive=probes.of_service(service.probes.alive, places.PORT, tls=tls),
        start=probes.service_start(service.probes, places.PORT, tls=tls),
        env=(
            pods.from_pod(INSTANCE, "metadata.name"),
            EnvVar(name="HOME", value="/tmp"),  # noqa: S108 - the pod's own
        ),
    )


def _autoscaler(topology: Topology, service: Service, name: str) -> HorizontalPodAutoscaler:
    least = replicas(topology, service)
    busy = MetricTarget(type="Utilization", averageUtilization=BUSY_PERCENT)
    cores = ResourceMetricSource(name="cpu", target=busy)
    down = HPAScalingRules(stabilizationWindowSeconds=CALM_SECONDS)
    return HorizontalPodAutoscaler(
        metadata=names.meta(topology, name, names.SERVICE),
        spec=HorizontalPodAutoscalerSpec(
            scaleTargetRef=CrossVersionObjectReference(
                apiVersion="apps/v1", kind="Deployment", name=name
            ),
            minReplicas=least,
            maxReplicas=least * MOST,
            metrics=[MetricSpec(type="Resource", resource=cores)],
            behavior=HorizontalPodAutoscalerBehavior(scaleDown=down),
        ),
    )


def _by_tls(topology: Topology, name: str) -> dict[str, str] | None:
    """How ingress-nginx reaches the gateway by TLS, and verifies it.

    https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/
    """
    if not topology.tls.enabled:
        return None
    return {
        f"{NGINX}/backend-protocol": "HTTPS",
        f"{NGINX}/proxy-ssl-secret": f"{names.namespace(topology)}/{names.certificate(name)}",
        f"{NGINX}/proxy-ssl-verify": "on",
        f"{NGINX}/proxy-ssl-name": names.dns(topology, name),
        f"{NGINX}/proxy-ssl-server-name": "on",
    }


def _ingress(topology: Topology, name: str, host: str) -> Ingress:
    backend = IngressServiceBackend(name=name, port=ServiceBackendPort(number=places.PORT))
    path = HTTPIngressPath(path="/", pathType="Prefix", backend=IngressBackend(service=backend))
    return Ingress(
        metadata=names.meta(topology, name, names.SERVICE, annotations=_by_tls(topology, name)),
        spec=IngressSpec(
            ingressClassName=topology.kubernetes.ingress_class,
            tls=[IngressTLS(hosts=[host], secretName=f"{name}-tls")],
            rules=[IngressRule(host=host, http=HTTPIngressRuleValue(paths=[path]))],
        ),
    )
