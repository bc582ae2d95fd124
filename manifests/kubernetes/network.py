"""Network: nobody reaches anybody, but along the arrows of the seed's diagrams.

Arrows are declared once, as who calls whom on which ports; policies are made of them for both ends.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lightkube.models.meta_v1 import LabelSelector
from lightkube.models.networking_v1 import (
    IPBlock,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from lightkube.resources.networking_v1 import NetworkPolicy

from cluster.inventory import Kind
from cluster.kubernetes.labels import JOINED, PEERS
from cluster.schema.types import Store
from cluster.topology import S3Repository, Topology
from manifests.kubernetes import foundation, names, patroni_cluster
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.edge import PORTS as EDGE_PORTS
from manifests.kubernetes.exporters import MONGO_EXPORTER, POSTGRES_EXPORTER, REDIS_EXPORTER
from manifests.kubernetes.objects import Typed, manifests
from manifests.services import instances, places
from manifests.services.model import GATEWAY, Service

NAME = "network"
ROUTER_PORT, SHARD_PORT, CONFIG_PORT, REDIS_PORT = 27017, 27018, 27019, 6379
DNS_PORT = 53
API_PORTS = (443, 6443)
NAMESPACE_NAME = "kubernetes.io/metadata.name"
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Group:
    """Pods of a component; of one instance where it is named.

    `joined`: only while they are not cut off from their peers, which a drill does by a label.
    """

    component: str
    instance: str | None = None
    joined: bool = False

    @property
    def name(self) -> str:
        """The name of its policy."""
        return (self.instance or f"every-{self.component}") + ("-peers" if self.joined else "")

    @property
    def labels(self) -> dict[str, str]:
        """What selects it."""
        own = {names.COMPONENT: self.component}
        own |= {names.INSTANCE: self.instance} if self.instance else {}
        return own | ({PEERS: JOINED} if self.joined else {})

    @property
    def peers(self) -> "Group":
        """Those of them that are not cut off."""
        return replace(self, joined=True)


@dataclass(frozen=True)
class Arrow:
    """`source` connects to `target` on these ports."""

    source: Group
    target: Group
    ports: tuple[int, ...]


ROUTERS = Group(names.ROUTER)
SHARDS = Group(names.SHARD)
CONFIG = Group(names.CONFIG)
ARCHIVER = Group(names.ARCHIVER)
EDGE = Group(names.HAPROXY)
REDIS = Group(names.REDIS)
EXPORTERS = Group(names.EXPORTER)
OPERATIONS = Group(names.OPERATIONS)
PROOF = Group(names.OPERATIONS, names.PROOF_NAME)  # does all that the tool does, and reads backups


def component(blueprint: Blueprint) -> Component:
    """Every policy; they are there before what they hold in."""
    return Component(Idea.NETWORK, NAME, manifests(policies(blueprint)), (foundation.NAME,))


def arrows(blueprint: Blueprint) -> tuple[Arrow, ...]:
    """Who calls whom."""
    return (*_mongo(blueprint), *_postgres(blueprint), *_services(blueprint), *_watching(blueprint))


def _mongo(blueprint: Blueprint) -> Iterator[Arrow]:
    """TP3 §4, "Topologie MongoDB": routers to shards and config servers; members to each other.

    Shards move chunks among themselves and read the metadata; config servers ask shards. The
    archiver follows every oplog.
    """
    yield Arrow(ROUTERS, SHARDS, (SHARD_PORT,))
    yield Arrow(ROUTERS, CONFIG, (CONFIG_PORT,))
    yield Arrow(SHARDS.peers, SHARDS.peers, (SHARD_PORT,))
    yield Arrow(SHARDS, CONFIG, (CONFIG_PORT,))
    yield Arrow(CONFIG.peers, CONFIG.peers, (CONFIG_PORT,))
    yield Arrow(CONFIG, SHARDS, (SHARD_PORT,))
    if blueprint.of(Kind.ARCHIVER):
        yield Arrow(ARCHIVER, SHARDS, (SHARD_PORT,))
        yield Arrow(ARCHIVER, CONFIG, (CONFIG_PORT,))


def _postgres(blueprint: Blueprint) -> Iterator[Arrow]:
    """TP3 §4, "Topologie PostgreSQL": the proxies to members, members to each other, DR to the
    proxies, which lead it to whoever is primary.
    """
    postgres = blueprint.topology.postgres
    payments = _scope(postgres.scope)
    yield Arrow(EDGE, payments, tuple(patroni_cluster.PORTS.values()))
    members = (patroni_cluster.POSTGRES, patroni_cluster.PATRONI)
    yield Arrow(payments.peers, payments.peers, members)
    if postgres.dr and not blueprint.topology.kubernetes.dr_cluster:
        dr = _scope(postgres.dr.scope)
        yield Arrow(dr.peers, dr.peers, members)
        yield Arrow(dr, EDGE, (EDGE_PORTS["direct"],))


def _services(blueprint: Blueprint) -> Iterator[Arrow]:
    """Each service to the stores that it uses and the services that it calls, and to no other."""
    deployed = [service.name for service in blueprint.services]
    for service in blueprint.services:
        own = _service(service.name)
        if service.uses(Store.MONGO):
            yield Arrow(own, ROUTERS, (ROUTER_PORT,))
        if service.uses(Store.POSTGRES):
            yield Arrow(own, EDGE, (EDGE_PORTS["pooled"],))
        if service.redis:
            yield Arrow(own, REDIS, (REDIS_PORT,))
        for called in instances.called_by(service, deployed):
            yield Arrow(own, _service(called), (places.PORT,))


def _watching(blueprint: Blueprint) -> Iterator[Arrow]:
    """The tool and the exporters see every server; the tool drives the public API as users do."""
    postgres = blueprint.topology.postgres
    here = [postgres.scope]
    if postgres.dr and not blueprint.topology.kubernetes.dr_cluster:
        here.append(postgres.dr.scope)
    engines = [
        (ROUTERS, (ROUTER_PORT,)),
        (SHARDS, (SHARD_PORT,)),
        (CONFIG, (CONFIG_PORT,)),
        *((_scope(scope), tuple(patroni_cluster.PORTS.values())) for scope in here),
    ]
    if blueprint.stores.redis:
        engines.append((REDIS, (REDIS_PORT,)))
    for group, ports in (*engines, (EDGE, tuple(EDGE_PORTS.values()))):
        yield Arrow(OPERATIONS, group, ports)
    for service in blueprint.services:
        yield Arrow(OPERATIONS, _service(service.name), (places.PORT,))
    if blueprint.topology.kubernetes.monitoring:
        for group, ports in engines:
            yield Arrow(EXPORTERS, group, ports)


def policies(blueprint: Blueprint) -> tuple[Typed, ...]:
    """Deny everything, let everybody resolve names, then open the arrows and the ways out."""
    topology, found = blueprint.topology, arrows(blueprint)
    groups = dict.fromkeys(end for arrow in found for end in (arrow.source, arrow.target))
    if _buckets(topology, PROOF, ()):
        groups[PROOF] = None
    return (
        _policy(topology, "deny-all", LabelSelector(), [], []),
        _policy(topology, "names", LabelSelector(), None, [_dns()]),
        *(_of_group(blueprint, group, found) for group in groups),
    )


def away_policies(topology: Topology, scope: str) -> tuple[Typed, ...]:
    """Those of a DR cluster of its own: its members to each other, the proxies, API and archive."""
    group, members = _scope(scope), _scope(scope).peers
    own = (patroni_cluster.POSTGRES, patroni_cluster.PATRONI)
    out = [
        NetworkPolicyEgressRule(
            to=[NetworkPolicyPeer(ipBlock=IPBlock(cidr=EVERYWHERE))],
            ports=_ports((EDGE_PORTS["direct"],)),
        ),
        *_ways_out(topology, group),
    ]
    return (
        _policy(topology, "deny-all", LabelSelector(), [], []),
        _policy(topology, "names", LabelSelector(), None, [_dns()]),
        _policy(
            topology,
            group.name,
            LabelSelector(matchLabels=group.labels),
            None,
            out,
        ),
        _policy(
            topology,
            members.name,
            LabelSelector(matchLabels=members.labels),
            [_ingress(_peer(members), own)],
            [_egress(_peer(members), own), *_ways_out(topology, members)],
        ),
    )


def _of_group(blueprint: Blueprint, group: Group, found: Sequence[Arrow]) -> NetworkPolicy:
    topology = blueprint.topology
    inward = [_ingress(_peer(a.source), a.ports) for a in found if a.target == group]
    outward = [_egress(_peer(a.target), a.ports) for a in found if a.source == group]
    return _policy(
        topology,
        group.name,
        LabelSelector(matchLabels=group.labels),
        inward + list(_ways_in(blueprint, group)),
        outward + list(_ways_out(topology, group, blueprint.services)),
    )


def _ways_in(blueprint: Blueprint, group: Group) -> Iterator[NetworkPolicyIngressRule]:
    """From other namespaces: Prometheus to metrics, the ingress controller to the gateway."""
    settings = blueprint.topology.kubernetes
    metrics = _metric_ports(group)
    if settings.monitoring and metrics:
        yield _ingress(_namespace(settings.monitoring_namespace), metrics)
    if settings.host and group == _service(GATEWAY):
        yield _ingress(_namespace(settings.ingress_namespace), (places.PORT,))
    if settings.dr_cluster and group == EDGE:
        peers = [NetworkPolicyPeer(ipBlock=IPBlock(cidr=c)) for c in settings.dr_cluster.networks]
        yield NetworkPolicyIngressRule(from_=peers, ports=_ports((EDGE_PORTS["direct"],)))


def _metric_ports(group: Group) -> tuple[int, ...]:
    match group.component:
        case names.HAPROXY:
            return (EDGE_PORTS["metrics"],)
        case names.POSTGRES:
            return (patroni_cluster.PATRONI,)
        case names.SERVICE:
            return (places.PORT,)
        case names.EXPORTER:
            return (MONGO_EXPORTER, POSTGRES_EXPORTER, REDIS_EXPORTER)
    return ()


def _ways_out(
    topology: Topology, group: Group, services: Iterable[Service] = ()
) -> Iterator[NetworkPolicyEgressRule]:
    """Out of the cluster: to Kubernetes' API, which no label names, and to the archive's bucket."""
    anywhere = NetworkPolicyPeer(ipBlock=IPBlock(cidr=EVERYWHERE))
    outside = NetworkPolicyPeer(
        ipBlock=IPBlock(cidr=EVERYWHERE, except_=list(topology.kubernetes.pod_networks))
    )
    if group == OPERATIONS or (group.component == names.POSTGRES and group.joined):
        yield NetworkPolicyEgressRule(to=[anywhere], ports=_ports(API_PORTS))
    if buckets := sorted(_buckets(topology, group, services)):
        yield NetworkPolicyEgressRule(to=[outside], ports=_ports(buckets))


def _buckets(topology: Topology, group: Group, services: Iterable[Service]) -> set[int]:
    """The ports of the S3 services that a group has to do with.

    pgBackRest runs where PostgreSQL does, and in the restore proof; MongoDB's snapshots are taken,
    and read, by the tool.
    """
    external, backup = topology.objects.external, topology.mongo.backup
    if external and any(each.s3 and _service(each.name) == group for each in services):
        return {external.port}
    if group == PROOF or (group.component == names.POSTGRES and not group.joined):
        return {r.port for r in topology.archive.repositories if isinstance(r, S3Repository)}
    if group.component in {names.ARCHIVER, names.OPERATIONS} and backup.enabled:
        return {r.port for r in (backup.repository,) if isinstance(r, S3Repository)}
    return set()


def _policy(
    topology: Topology,
    name: str,
    chosen: LabelSelector,
    inward: Sequence[NetworkPolicyIngressRule] | None,
    outward: Sequence[NetworkPolicyEgressRule],
) -> NetworkPolicy:
    kinds = [*(["Ingress"] if inward is not None else []), "Egress"]
    return NetworkPolicy(
        metadata=names.meta(topology, name, NAME),
        spec=NetworkPolicySpec(
            podSelector=chosen,
            policyTypes=kinds,
            ingress=list(inward) if inward else None,
            egress=list(outward) or None,
        ),
    )


def _dns() -> NetworkPolicyEgressRule:
    peer = NetworkPolicyPeer(
        namespaceSelector=LabelSelector(matchLabels={NAMESPACE_NAME: "kube-system"}),
        podSelector=LabelSelector(matchLabels={"k8s-app": "kube-dns"}),
    )
    both = [NetworkPolicyPort(port=DNS_PORT, protocol=protocol) for protocol in ("UDP", "TCP")]
    return NetworkPolicyEgressRule(to=[peer], ports=both)


def _peer(group: Group) -> NetworkPolicyPeer:
    return NetworkPolicyPeer(podSelector=LabelSelector(matchLabels=group.labels))


def _namespace(name: str) -> NetworkPolicyPeer:
    return NetworkPolicyPeer(namespaceSelector=LabelSelector(matchLabels={NAMESPACE_NAME: name}))


def _ingress(peer: NetworkPolicyPeer, ports: Sequence[int]) -> NetworkPolicyIngressRule:
    return NetworkPolicyIngressRule(from_=[peer], ports=_ports(ports))


def _egress(peer: NetworkPolicyPeer, ports: Sequence[int]) -> NetworkPolicyEgressRule:
    return NetworkPolicyEgressRule(to=[peer], ports=_ports(ports))


def _ports(numbers: Sequence[int]) -> list[NetworkPolicyPort]:
    return [NetworkPolicyPort(port=number, protocol="TCP") for number in numbers]


def _scope(scope: str) -> Group:
    return Group(names.POSTGRES, scope)


def _service(name: str) -> Group:
    return Group(names.SERVICE, names.service_name(name))
