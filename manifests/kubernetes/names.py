"""Names, labels and DNS names: what must agree between objects and with Patroni's file."""

from collections.abc import Mapping

from lightkube.models.meta_v1 import LabelSelector, ObjectMeta

from cluster.kubernetes import labels as shared
from cluster.topology import Topology

PART_OF, COMPONENT, INSTANCE = shared.PART_OF, shared.COMPONENT, shared.INSTANCE
namespace = shared.namespace

MANAGED_BY = "app.kubernetes.io/managed-by"
TOOL = "skillswap-ops"
FILES_CHECKSUM = "skillswap.io/files"

# Values of COMPONENT. Patroni's template names POSTGRES.
SHARD = "shard"
CONFIG = "config"
ROUTER = "router"
ARCHIVER = "archiver"
POSTGRES = "postgres"
HAPROXY = "haproxy"
REDIS = "redis"
SERVICE = "service"
EXPORTER = "exporter"
OPERATIONS = shared.TOOL

ROUTERS_NAME = "routers"
HAPROXY_NAME = "haproxy"
REDIS_NAME = "redis"
ARCHIVE_NAME = "archive"
BACKUPS_NAME = "backups"
ARCHIVER_NAME = "archiver"
PROOF_NAME = "restore-proof"
SECRETS_NAME = "skillswap-secrets"
DATA_PRIORITY = "skillswap-data"


def dns(topology: Topology, service: str) -> str:
    """A Service's full name: with it no search path is tried, which takes five questions."""
    return f"{service}.{namespace(topology)}.svc.{topology.kubernetes.domain}"


def service_name(service: str) -> str:
    """A microservice's objects: `payments` is a Patroni scope as well."""
    return f"service-{service}"


def certificate(node: str) -> str:
    """The Secret of a node's certificate. `service-gateway-tls` is another: the Ingress's own."""
    return f"{node}-certificate"


def labels(topology: Topology, component: str, instance: str) -> dict[str, str]:
    """What every object carries."""
    return {PART_OF: topology.name, MANAGED_BY: TOOL, **chosen(component, instance)}


def chosen(component: str, instance: str) -> dict[str, str]:
    """What selects the pods of a component; it can never change."""
    return {COMPONENT: component, INSTANCE: instance}


def selector(component: str, instance: str) -> LabelSelector:
    """The pods of a component."""
    return LabelSelector(matchLabels=chosen(component, instance))


def meta(
    topology: Topology,
    name: str,
    component: str,
    instance: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> ObjectMeta:
    """The metadata of an object in the namespace."""
    return ObjectMeta(
        name=name,
        namespace=namespace(topology),
        labels=labels(topology, component, instance or name),
        annotations=dict(annotations) if annotations else None,
    )
