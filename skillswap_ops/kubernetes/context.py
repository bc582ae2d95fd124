"""A context of the Kubernetes target: addresses, folders, programs and passwords of pods."""

from dataclasses import dataclass
from typing import cast

import mongo.servers
import postgres.servers
from cluster.clock import SYSTEM_CLOCK
from cluster.context import Context
from cluster.inventory import Kind
from cluster.kubernetes.target import KubernetesTarget
from cluster.kubernetes_settings import SecretSource
from cluster.layout import PodLayout
from cluster.secrets import MountedSecrets, SecretStore
from cluster.server import Server
from cluster.target import Target
from cluster.topology import Topology
from manifests import redis
from manifests.kubernetes.archive import refuse_local_store
from manifests.kubernetes.blueprint import Blueprint
from manifests.kubernetes.certificates import refuse_without_source
from manifests.kubernetes.inventory import pod_inventory
from manifests.kubernetes.programs import LAYOUT, SECRETS, PodPrograms
from manifests.kubernetes.vault import Recorded, generated, placeholders
from manifests.services.catalogue import CATALOGUE
from postgres.scopes import dr_scope
from skillswap_ops.engines import engine_passwords
from skillswap_ops.kubernetes.client import cluster_api
from skillswap_ops.kubernetes.in_cluster import has_bench
from skillswap_ops.service_stores import stores


@dataclass(frozen=True)
class PodContext(Context):
    """A context whose servers are pods; its secrets tell which of them were asked for."""

    secrets: Recorded


def pod_context(
    topology: Topology, store: SecretStore | None, *, from_dr: bool = False
) -> PodContext:
    """The context that objects are rendered from.

    `store` makes passwords; without one, or where they stay in a vault, there are placeholders.
    """
    external = topology.kubernetes.secrets.source is SecretSource.EXTERNAL
    return PodContext(
        topology=topology,
        inventory=pod_inventory(topology, from_dr=from_dr),
        layout=LAYOUT,
        secrets=placeholders() if external or store is None else generated(store),
        target=cast("Target", None),
        programs=PodPrograms(),
    )


def in_cluster_context(topology: Topology) -> Context:
    """The context of the tool in the cluster: the same, with passwords as the pod mounts them.

    Its own state (locks, drills' evidence) is a folder that is made here.
    """
    layout = PodLayout(LAYOUT.root / topology.name)
    layout.drills.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Context(
        topology=topology,
        inventory=pod_inventory(topology),
        layout=layout,
        secrets=MountedSecrets(SECRETS),
        target=KubernetesTarget(cluster_api(topology), SYSTEM_CLOCK, has_bench=has_bench()),
        programs=PodPrograms(),
    )


def blueprint(topology: Topology, store: SecretStore | None) -> Blueprint:
    """What the objects of a topology are made from.

    Without `objects.external` there is no bucket for files, and so no service `files`. Raises
    InvalidInputError where a repository is in the local target's own store, and where nothing gives
    pods the certificates that they are to have.
    """
    refuse_local_store(topology)
    refuse_without_source(topology)
    context = pod_context(topology, store)
    engine_passwords(context)
    known = stores(context)
    return Blueprint(
        topology=topology,
        inventory=context.inventory,
        servers=(*_servers(context), *_away(context, store)),
        stores=known,
        services=tuple(each for each in CATALOGUE.services if known.s3 or not each.s3),
        secrets=context.secrets,
    )


def _servers(context: Context) -> tuple[Server, ...]:
    """Every server of the topology; those of a DR cluster of its own apart."""
    away = _away_scope(context)
    return (
        *mongo.servers.servers(context),
        *(server for server in postgres.servers.servers(context) if server.node.group != away),
        *redis.servers(context),
    )


def _away(context: PodContext, store: SecretStore | None) -> tuple[Server, ...]:
    """The members of a DR cluster of its own, as that cluster sees the others."""
    scope = _away_scope(context)
    if scope is None:
        return ()
    there = pod_context(context.topology, store, from_dr=True)
    found = postgres.servers.servers(there)
    context.secrets.names |= there.secrets.names
    kinds = {Kind.POSTGRES}
    return tuple(
        server for server in found if server.node.group == scope and server.node.kind in kinds
    )


def _away_scope(context: Context) -> str | None:
    dr = dr_scope(context)
    return dr.name if dr and context.topology.kubernetes.dr_cluster else None
