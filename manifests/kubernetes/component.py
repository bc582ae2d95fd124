"""A part of the cluster that is made, waited for and shown as one: objects, and what is first."""

from dataclasses import dataclass
from enum import StrEnum

from manifests.kubernetes.objects import Manifest


class Idea(StrEnum):
    """What a component is: also the names of the Pulumi program's component resources."""

    FOUNDATION = "Foundation"
    NETWORK = "Network"
    ARCHIVE = "Archive"
    CONFIG_SERVERS = "ConfigServers"
    MONGO_SHARD = "MongoShard"
    ROUTERS = "Routers"
    PATRONI_CLUSTER = "PatroniCluster"
    EDGE = "Edge"
    CACHE = "Cache"
    OPERATIONS = "Operations"
    SERVICES = "Services"
    MONITORING = "Monitoring"


@dataclass(frozen=True)
class Component:
    """Objects of one idea. `needs` are the names of components that are made before.

    `region` is where its pods run; `away`: in a Kubernetes cluster of its own.
    """

    idea: Idea
    name: str
    objects: tuple[Manifest, ...]
    needs: tuple[str, ...] = ()
    region: str = ""
    away: bool = False
