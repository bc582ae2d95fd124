"""A MongoDB replica set as a stateful set: what shards and config servers have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightkube.models.core_v1 import EnvVar

from cluster.inventory import Kind, Node
from cluster.kubernetes.labels import JOINED, PEERS
from cluster.kubernetes_settings import StatefulPod
from cluster.server import Server
from manifests.kubernetes import certificates, names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.files import Files, files
from manifests.kubernetes.inventory import stateful_set_name
from manifests.kubernetes.objects import Manifest, Typed, manifests

PORT_NAME = "mongodb"
HOME = EnvVar(name="HOME", value="/tmp")  # noqa: S108 - mongosh writes its settings there
ARBITER = {"skillswap.io/arbiter": "true"}
MEMBER = {"skillswap.io/arbiter": "false"}
PEER = {PEERS: JOINED}


@dataclass(frozen=True)
class Members:
    """A replica set of the topology: its name, its nodes, what one pod of it gets."""

    component: str
    name: str
    nodes: tuple[Node, ...]
    size: StatefulPod

    @property
    def data_bearing(self) -> tuple[Node, ...]:
        """The members with data."""
        return tuple(node for node in self.nodes if node.kind is not Kind.ARBITER)

    @property
    def arbiters(self) -> tuple[Node, ...]:
        """The members without."""
        return tuple(node for node in self.nodes if node.kind is Kind.ARBITER)


def objects(blueprint: Blueprint, members: Members) -> tuple[Manifest, ...]:
    """Files, the Service that names members, the members, and what drains must leave of them.

    The members' majority stays, or nobody is elected.
    """
    topology = blueprint.topology
    servers = [server for node in members.nodes for server in blueprint.on(node)]
    held = files(topology, blueprint.secrets, members.name, members.component, servers)
    port = servers[0].ports[0]
    service = workloads.headless(
        topology, members.name, members.component, {PORT_NAME: port}, members.name
    )
    budget = workloads.budget(
        topology, members.name, members.component, least=len(members.nodes) // 2 + 1
    )
    sets: list[Typed] = [_data_bearing(blueprint, members, held)]
    sets += [_arbiter(blueprint, members, node, held) for node in members.arbiters]
    return (*held.objects, *manifests([service, *sets, budget]))


def _data_bearing(blueprint: Blueprint, members: Members, held: Files) -> Typed:
    topology, nodes = blueprint.topology, members.data_bearing
    zones = [zone for zone in blueprint.zones(nodes[0].region) if _used(zone, members.nodes)]
    choice = names.selector(members.component, members.name)
    room = pods.Room(
        component=members.component,
        instance=members.name,
        affinity=placement.affinity(nodes[0].region, zones, choice, strictly=True),
        spread=(placement.spread(choice, placement.skew_of(members.nodes, zones), strictly=True),),
        claims=("data",),
        labels=MEMBER | PEER,
    )
    template = pods.template(
        topology, room, [_box(blueprint, blueprint.on(nodes[0])[0], members.size)], held
    )
    return workloads.stateful_set(
        topology,
        members.name,
        members.component,
        members.name,
        template,
        [pods.claim(topology, "data", members.size.volume, _labels(blueprint, members))],
        replicas=len(nodes),
        service=members.name,
        more=MEMBER,
    )


def _arbiter(blueprint: Blueprint, members: Members, node: Node, held: Files) -> Typed:
    topology, size = blueprint.topology, blueprint.topology.kubernetes.sizes.arbiter
    choice = names.selector(members.component, members.name)
    room = pods.Room(
        component=members.component,
        instance=members.name,
        affinity=placement.affinity(node.region, [node.zone], choice, strictly=True),
        claims=("data",),
        labels=ARBITER | PEER,
    )
    return workloads.stateful_set(
        topology,
        stateful_set_name(node),
        members.component,
        members.name,
        pods.template(topology, room, [_box(blueprint, blueprint.on(node)[0], size)], held),
        [pods.claim(topology, "data", size.volume, _labels(blueprint, members))],
        replicas=1,
        first=0,
        service=members.name,
        more=ARBITER,
    )


def _labels(blueprint: Blueprint, members: Members) -> dict[str, str]:
    return names.labels(blueprint.topology, members.component, members.name)


def _box(blueprint: Blueprint, server: Server, size: StatefulPod) -> pods.Box:
    port, trust = server.ports[0], certificates.trusted(blueprint.topology)
    alive = probes.tcp(port)
    return pods.Box(
        server=server,
        image=blueprint.topology.kubernetes.images.mongo,
        size=size,
        ready=probes.mongosh(port, probes.MEMBER, trust),
        alive=alive,
        start=probes.started(alive),
        env=(HOME,),
    )


def _used(zone: str, nodes: Sequence[Node]) -> bool:
    return any(node.zone == zone for node in nodes)
