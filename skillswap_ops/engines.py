"""All engines together: the one place that knows which there are."""

from collections.abc import Callable

import mongo.endpoints
import mongo.servers
import mongo.status
import mongo.steps
import postgres.endpoints
import postgres.servers
import postgres.status
import postgres.steps
from cluster.context import Context
from cluster.endpoint import Endpoint
from cluster.plan import Step
from cluster.server import Server
from cluster.status import NodeStatus
from manifests import objects, redis
from manifests.monitoring import local as monitoring
from manifests.services import edge, instances, places, releases
from manifests.services import status as services
from skillswap_ops.service_stores import stores


def all_servers(context: Context) -> tuple[Server, ...]:
    """Every server: of the topology, and of the services that are deployed."""
    return (*data_servers(context), *proxy_servers(context), *instance_servers(context))


def data_servers(context: Context) -> tuple[Server, ...]:
    """Every server of the topology, and of the monitoring where that is up."""
    return (
        *mongo.servers.servers(context),
        *postgres.servers.servers(context),
        *redis.servers(context),
        *objects.servers(context),
        *(monitoring.servers(context) if monitoring.is_up(context) else ()),
    )


def proxy_servers(context: Context) -> tuple[Server, ...]:
    """The services' own proxies; none where nothing is deployed."""
    return edge.servers(context, releases.load(context.layout.releases).replicas)


def instance_servers(context: Context) -> tuple[Server, ...]:
    """The instances of the deployed services, canaries apart."""
    found = releases.load(context.layout.releases)
    if not found.services:
        return ()
    ways = stores(context)
    return tuple(
        server
        for name in found.services
        for number, server in instances.servers(context, ways, found, name).items()
        if number != places.CANARY
    )


def engine_steps(context: Context) -> tuple[Step, ...]:
    """Every engine's own steps; they need the servers' start steps."""
    return (
        *mongo.steps.steps(context),
        *postgres.steps.steps(context),
        *redis.steps(context),
        *objects.steps(context),
    )


def all_endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """Every connection string."""
    return (
        *mongo.endpoints.endpoints(context, reveal=reveal),
        *postgres.endpoints.endpoints(context, reveal=reveal),
        *redis.endpoints(context, reveal=reveal),
        *objects.endpoints(context, reveal=reveal),
        *services.endpoints(context, releases.load(context.layout.releases)),
    )


def status_readers() -> tuple[Callable[[Context], tuple[NodeStatus, ...]], ...]:
    """One a engine, each safe to call beside the others."""
    return (
        mongo.status.status,
        postgres.status.status,
        redis.status,
        objects.status,
        services.status,
        monitoring.status,
    )


def engine_passwords(context: Context) -> None:
    """Ask for every password that clients and operators log in with, so that each of them is made
    (or taken down, where the context's store does that), before anything is deployed.
    """
    mongo.endpoints.endpoints(context, reveal=True)
    postgres.endpoints.endpoints(context, reveal=True)
    redis.endpoints(context, reveal=True)
