"""Certificates of pods: a Secret a node, made by cert-manager or given, and how it gets into a pod.

Both sources make a Secret `NODE-certificate` with cert-manager's keys: `tls-combined.pem`, the key
and the certificates in one file as every server here reads them, and `ca.crt`, which clients trust.
No key is rendered, nor known here.
"""

from collections.abc import Iterable, Iterator, Sequence

from lightkube.models.core_v1 import (
    KeyToPath,
    SecretProjection,
    SecretVolumeSource,
    Volume,
    VolumeMount,
    VolumeProjection,
)

from cluster.certificates import RENEW_SHARE
from cluster.context import trust
from cluster.errors import InvalidInputError
from cluster.inventory import Kind, Node
from cluster.kubernetes_settings import CertManager
from cluster.server import Server
from cluster.tls import PEM
from cluster.topology import Topology
from manifests.kubernetes import names
from manifests.kubernetes.objects import Custom, Json, Manifest, manifest
from manifests.kubernetes.programs import LAYOUT

API_VERSION = "cert-manager.io/v1"
COMBINED = "tls-combined.pem"  # https://cert-manager.io/docs/usage/certificate/ (CombinedPEM)
AUTHORITY = LAYOUT.authority.name
TRUST_VOLUME = "trust"
HOURS = 24


def refuse_without_source(topology: Topology) -> None:
    """Raises InvalidInputError where pods are to speak TLS, and nothing gives them certificates."""
    if topology.tls.enabled and topology.kubernetes.tls is None:
        raise InvalidInputError(
            "tls.enabled: on Kubernetes kubernetes.tls must say where certificates come from",
            "`kubernetes: {tls: {source: cert-manager, issuer: {name: …}}}`, or `{source: given}`",
        )


def trusted(topology: Topology) -> str:
    """The file by which clients in pods verify; "" where TLS is off."""
    return trust(topology, LAYOUT)


def nodes(topology: Topology, servers: Iterable[Server]) -> tuple[Node, ...]:
    """The nodes among these servers' that have a certificate: those with a port."""
    if not topology.tls.enabled:
        return ()
    return tuple({server.node.name: server.node for server in servers if server.ports}.values())


def dns_names(topology: Topology, node: Node) -> tuple[str, ...]:
    """What others call a node.

    PostgreSQL's are reached through proxies as well, which pass its TLS on; a DR cluster of its own
    has a name for these.
    """
    if node.kind is not Kind.POSTGRES:
        return (node.address,)
    away = topology.kubernetes.dr_cluster
    proxies = (names.dns(topology, names.HAPROXY_NAME), *([away.primary_host] if away else ()))
    return (node.address, *proxies)


def orders(
    topology: Topology, component: str, instance: str, found: Iterable[Node]
) -> Iterator[Manifest]:
    """What has cert-manager make these nodes' Secrets; nothing where they are given."""
    source = topology.kubernetes.tls
    if isinstance(source, CertManager):
        for node in found:
            yield manifest(_order(topology, source, component, instance, node))


def _order(
    topology: Topology, source: CertManager, component: str, instance: str, node: Node
) -> Custom:
    """As the local authority makes them; MongoDB's members show theirs as clients, too."""
    name, hours = names.certificate(node.name), topology.tls.leaf_days * HOURS
    alternatives: list[Json] = [*dns_names(topology, node)]
    return Custom(
        api_version=API_VERSION,
        kind="Certificate",
        name=name,
        namespace=names.namespace(topology),
        labels=names.labels(topology, component, instance),
        spec={
            "secretName": name,
            "commonName": node.name,
            "dnsNames": alternatives,
            "duration": f"{hours}h",
            "renewBefore": f"{round(hours * RENEW_SHARE)}h",
            "usages": ["digital signature", "server auth", "client auth"],
            "privateKey": {
                "algorithm": "ECDSA",
                "size": 256,
                "encoding": "PKCS8",
                "rotationPolicy": "Always",
            },
            "additionalOutputFormats": [{"type": "CombinedPEM"}],
            "issuerRef": {
                "group": API_VERSION.partition("/")[0],
                "kind": source.issuer.kind,
                "name": source.issuer.name,
            },
        },
    )


def sources(found: Iterable[Node]) -> list[VolumeProjection]:
    """Their keys and certificates among the files of a pod, a folder a node."""
    return [
        VolumeProjection(
            secret=SecretProjection(
                name=names.certificate(node.name),
                items=[KeyToPath(key=COMBINED, path=f"{node.name}/{PEM}")],
            )
        )
        for node in found
    ]


def trust_volumes(topology: Topology, found: Sequence[Node] = ()) -> list[Volume]:
    """What a pod's clients trust: of its own Secret, else of the routers'. None without TLS.

    It is no secret, and mounted as it is, so that a new one comes into running pods.
    """
    if not topology.tls.enabled:
        return []
    secret = names.certificate(found[0].name if found else names.ROUTERS_NAME)
    items = [KeyToPath(key=AUTHORITY, path=AUTHORITY)]
    return [Volume(name=TRUST_VOLUME, secret=SecretVolumeSource(secretName=secret, items=items))]


def trust_mounts(topology: Topology) -> list[VolumeMount]:
    """Where its containers find that. None without TLS."""
    folder = str(LAYOUT.authority.parent)
    mount = VolumeMount(name=TRUST_VOLUME, mountPath=folder, readOnly=True)
    return [mount] if topology.tls.enabled else []
