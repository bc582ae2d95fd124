"""ConfigServers: the replica set of the sharded cluster's metadata."""

from cluster.inventory import CONFIG_SET, Kind
from manifests.kubernetes import foundation, names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.mongo_set import Members, objects

NAME = CONFIG_SET


def component(blueprint: Blueprint) -> Component:
    """The config servers: nothing else of MongoDB comes before them."""
    nodes = blueprint.inventory.of(Kind.CONFIG)
    members = Members(names.CONFIG, NAME, nodes, blueprint.topology.kubernetes.sizes.config)
    return Component(
        Idea.CONFIG_SERVERS,
        NAME,
        objects(blueprint, members),
        (foundation.NAME,),
        nodes[0].region,
    )
