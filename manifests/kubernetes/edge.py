"""Edge: the HAProxies that applications reach PostgreSQL through."""

from lightkube.models.core_v1 import Lifecycle, LifecycleHandler, SleepAction

from cluster.inventory import Kind
from manifests.kubernetes import names, placement, pods, probes, workloads
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import files
from manifests.kubernetes.objects import Typed, manifests

NAME = names.HAPROXY_NAME
PORTS = {"pooled": 5000, "direct": 5001, "reads": 5002, "metrics": 7000}
LEAVE_SECONDS = 5  # until no new connection comes to a pod that ends


def component(blueprint: Blueprint) -> Component:
    """They ask every member's Patroni who leads, and nobody else."""
    topology = blueprint.topology
    (server,) = blueprint.of(Kind.HAPROXY)
    held = files(topology, blueprint.secrets, NAME, names.HAPROXY, [server])
    choice = names.selector(names.HAPROXY, NAME)
    region = server.node.region
    room = pods.Room(
        component=names.HAPROXY,
        instance=NAME,
        node=server.node.name,
        affinity=placement.affinity(region, blueprint.zones(region), choice, strictly=False),
        spread=(placement.spread(choice, strictly=False),),
    )
    alive = probes.tcp(PORTS["metrics"])
    box = pods.Box(
        server=server,
        image=topology.kubernetes.images.haproxy,
        size=topology.kubernetes.sizes.haproxy,
        ready=probes.tcp(PORTS["direct"], period=2, failures=2),
        alive=alive,
        start=probes.started(alive),
        lifecycle=Lifecycle(preStop=LifecycleHandler(sleep=SleepAction(seconds=LEAVE_SECONDS))),
    )
    template = pods.template(topology, room, [box], held)
    rows: list[Typed] = [
        workloads.service(topology, NAME, names.HAPROXY, PORTS),
        workloads.deployment(
            topology, NAME, names.HAPROXY, template, replicas=topology.edge.haproxies
        ),
        workloads.budget(topology, NAME, names.HAPROXY, away=1),
    ]
    scope = topology.postgres.scope
    return Component(Idea.EDGE, NAME, (*held.objects, *manifests(rows)), (scope,), region)
