"""One component resource an idea, over the same objects that `render` writes."""

from collections.abc import Mapping, Sequence

import pulumi

from manifests.kubernetes.component import Component, Idea
from manifests.pulumi.resources import resource


class Part(pulumi.ComponentResource):
    """A component: its objects are its children, and come after all of what it needs."""

    idea: Idea

    def __init__(
        self,
        component: Component,
        after: Sequence[pulumi.Resource],
        provider: pulumi.ProviderResource,
    ) -> None:
        super().__init__(
            f"skillswap:kubernetes:{self.idea}",
            component.name,
            opts=pulumi.ResourceOptions(providers=[provider], depends_on=[*after]),
        )
        self.objects = [resource(each, self, after, provider) for each in component.objects]
        self.register_outputs({"objects": [each.key for each in component.objects]})


class Foundation(Part):
    """The namespace, storage, priorities, passwords."""

    idea = Idea.FOUNDATION


class Network(Part):
    """Who may reach whom."""

    idea = Idea.NETWORK


class Archive(Part):
    """Where WAL and backups go."""

    idea = Idea.ARCHIVE


class ConfigServers(Part):
    """The replica set of MongoDB's metadata."""

    idea = Idea.CONFIG_SERVERS


class MongoShard(Part):
    """A shard's replica set."""

    idea = Idea.MONGO_SHARD


class Routers(Part):
    """mongos."""

    idea = Idea.ROUTERS


class PatroniCluster(Part):
    """A scope of PostgreSQL."""

    idea = Idea.PATRONI_CLUSTER


class Edge(Part):
    """The proxies in front of PostgreSQL."""

    idea = Idea.EDGE


class Cache(Part):
    """Redis."""

    idea = Idea.CACHE


class Operations(Part):
    """The tool in the cluster."""

    idea = Idea.OPERATIONS


class Services(Part):
    """The microservices."""

    idea = Idea.SERVICES


class Monitoring(Part):
    """Exporters, monitors, rules."""

    idea = Idea.MONITORING


PARTS: Mapping[Idea, type[Part]] = {part.idea: part for part in Part.__subclasses__()}
