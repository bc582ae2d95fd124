"""Routers: the mongos that applications connect to, behind one address."""

from cluster.inventory import Kind
from manifests.kubernetes import (
    certificates,
    config_servers,
    names,
    placement,
    pods,
    probes,
    workloads,
)
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.files import files
from manifests.kubernetes.mongo_set import HOME, PORT_NAME
from manifests.kubernetes.objects import Typed, manifests

NAME = names.ROUTERS_NAME


def component(blueprint: Blueprint) -> Component:
    """A client stays with one router, because cursors and transactions live there."""
    topology = blueprint.topology
    (server,) = blueprint.of(Kind.ROUTER)
    port, settings = server.ports[0], topology.kubernetes
    held = files(topology, blueprint.secrets, NAME, names.ROUTER, [server])
    choice = names.selector(names.ROUTER, NAME)
    region = server.node.region
    room = pods.Room(
        component=names.ROUTER,
        instance=NAME,
        node=server.node.name,
        affinity=placement.affinity(region, blueprint.zones(region), choice, strictly=False),
        spread=(placement.spread(choice, strictly=False),),
    )
    alive = probes.tcp(port)
    box = pods.Box(
        server=server,
        image=settings.images.mongo,
        size=settings.sizes.router,
        ready=probes.mongosh(port, probes.ROUTER, certificates.trusted(topology)),
        alive=alive,
        start=probes.started(alive),
        env=(HOME,),
    )
    template = pods.template(topology, room, [box], held)
    count = topology.mongo.routers
    rows: list[Typed] = [
        workloads.service(topology, NAME, names.ROUTER, {PORT_NAME: port}, sticky=True),
        workloads.deployment(topology, NAME, names.ROUTER, template, replicas=count),
        workloads.budget(topology, NAME, names.ROUTER, away=1),
    ]
    shards = tuple(shard.name for shard in topology.mongo.shards)
    return Component(
        Idea.ROUTERS,
        NAME,
        (*held.objects, *manifests(rows)),
        (config_servers.NAME, *shards),
        region,
    )
