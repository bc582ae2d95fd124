"""All components of a blueprint, each after what it needs: what render, Pulumi and tests read."""

from graphlib import TopologicalSorter

from cluster.inventory import Node
from manifests.kubernetes import (
    archive,
    archiver,
    cache,
    certificates,
    config_servers,
    edge,
    foundation,
    mongo_shard,
    monitoring,
    network,
    operations,
    patroni_cluster,
    routers,
    services,
)
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.component import Component, Idea
from manifests.kubernetes.objects import Manifest, manifests


def components(blueprint: Blueprint) -> tuple[Component, ...]:
    """The cluster. Passwords are counted last, when all that holds them has been made."""
    made = (
        network.component(blueprint),
        archive.component(blueprint),
        config_servers.component(blueprint),
        *mongo_shard.components(blueprint),
        *archiver.components(blueprint),
        routers.component(blueprint),
        *_patroni(blueprint),
        edge.component(blueprint),
        *cache.components(blueprint),
        services.component(blueprint),
        operations.component(blueprint),
        *monitoring.components(blueprint),
    )
    return in_order((foundation.component(blueprint), *made))


def certified(blueprint: Blueprint) -> tuple[Node, ...]:
    """Every node that has a certificate; none without TLS."""
    deployed = (services.server(blueprint, each) for each in blueprint.services)
    return certificates.nodes(blueprint.topology, (*blueprint.servers, *deployed))


def _patroni(blueprint: Blueprint) -> tuple[Component, ...]:
    postgres = blueprint.topology.postgres
    scopes = [patroni_cluster.component(blueprint, postgres.scope)]
    if postgres.dr and blueprint.topology.kubernetes.dr_cluster is None:
        scopes.append(patroni_cluster.component(blueprint, postgres.dr.scope))
    elif postgres.dr:
        scopes += _away(blueprint, postgres.dr.scope)
    return tuple(scopes)


def _away(blueprint: Blueprint, scope: str) -> tuple[Component, ...]:
    """DR in a Kubernetes cluster of its own, with its own foundation and policies."""
    base = foundation.in_other_cluster(blueprint)
    policies = Component(
        Idea.NETWORK,
        f"{network.NAME}-dr",
        manifests(network.away_policies(blueprint.topology, scope)),
        (base.name,),
        away=True,
    )
    store = Component(
        Idea.ARCHIVE,
        f"{archive.NAME}-dr",
        archive.component(blueprint, away=True).objects,
        (base.name,),
        away=True,
    )
    members = patroni_cluster.component(blueprint, scope, away=True)
    return (base, policies, store, members)


def in_order(found: tuple[Component, ...]) -> tuple[Component, ...]:
    """Each after its needs, else as they came."""
    by_name = {component.name: component for component in found}
    graph = {component.name: component.needs for component in found}
    return tuple(by_name[name] for name in TopologicalSorter(graph).static_order())


def objects(found: tuple[Component, ...]) -> tuple[Manifest, ...]:
    """The objects of all of them."""
    return tuple(each for component in found for each in component.objects)
