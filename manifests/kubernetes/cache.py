"""Cache: Redis, which carries chat between instances; what it holds may be lost."""

from cluster.inventory import Kind
from manifests.kubernetes import (
    certificates,
    foundation,
    names,
    placement,
    pods,
    probes,
    workloads,
)
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import files
from manifests.kubernetes.objects import Typed, manifests

NAME = names.REDIS_NAME


def components(blueprint: Blueprint) -> tuple[Component, ...]:
    """Redis, where the topology has one."""
    servers = blueprint.of(Kind.REDIS)
    if not servers:
        return ()
    topology, node = blueprint.topology, servers[0].node
    size, port = topology.kubernetes.sizes.redis, servers[0].ports[0]
    held = files(topology, blueprint.secrets, NAME, names.REDIS, servers)
    choice = names.selector(names.REDIS, NAME)
    room = pods.Room(
        component=names.REDIS,
        instance=NAME,
        affinity=placement.affinity(
            node.region, blueprint.zones(node.region), choice, strictly=True
        ),
        claims=("data",),
    )
    alive = probes.tcp(port)
    box = pods.Box(
        server=servers[0],
        image=topology.kubernetes.images.redis,
        size=size,
        ready=probes.redis(port, certificates.trusted(topology)),
        alive=alive,
        start=probes.started(alive),
    )
    labels = names.labels(topology, names.REDIS, NAME)
    rows: list[Typed] = [
        workloads.headless(topology, NAME, names.REDIS, {"redis": port}, NAME),
        workloads.stateful_set(
            topology,
            NAME,
            names.REDIS,
            NAME,
            pods.template(topology, room, [box], held),
            [pods.claim(topology, "data", size.volume, labels)],
            replicas=len(servers),
            service=NAME,
        ),
        workloads.budget(topology, NAME, names.REDIS, away=1),
    ]
    objects = (*held.objects, *manifests(rows))
    return (Component(Idea.CACHE, NAME, objects, (foundation.NAME,), node.region),)
