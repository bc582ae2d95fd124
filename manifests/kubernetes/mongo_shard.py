"""MongoShard: a shard's replica set."""

from cluster.inventory import Kind
from cluster.topology import Shard
from manifests.kubernetes import config_servers, names
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.mongo_set import Members, objects


def component(blueprint: Blueprint, shard: Shard) -> Component:
    """The shard; it registers itself with config servers that are there before."""
    nodes = blueprint.inventory.of(Kind.SHARD, Kind.ARBITER, group=shard.name)
    size = blueprint.topology.kubernetes.sizes.shard
    members = Members(names.SHARD, shard.name, nodes, size)
    return Component(
        Idea.MONGO_SHARD,
        shard.name,
        objects(blueprint, members),
        (config_servers.NAME,),
        nodes[0].region,
    )


def components(blueprint: Blueprint) -> tuple[Component, ...]:
    """Every shard of the topology."""
    return tuple(component(blueprint, shard) for shard in blueprint.topology.mongo.shards)
