"""Connection strings as clients of MongoDB need them."""

from urllib.parse import quote_plus, urlencode

from cluster.context import Context
from cluster.endpoint import MASK, Endpoint
from cluster.inventory import Kind
from mongo import nodes
from mongo.credentials import ADMIN, APPLICATION, MONITOR, login
from mongo.nodes import SetNodes
from mongo.servers import router_kind


def endpoints(context: Context, *, reveal: bool) -> tuple[Endpoint, ...]:
    """Every way in: the application's through the routers, the operators' to each set."""
    kind = router_kind(context).value
    routers = nodes.hosts(nodes.routers(context))
    application = [
        Endpoint(
            f"mongo-{segment}",
            f"applications: segment {segment} on {shards[0].name}, by {kind}",
            _uri(context, APPLICATION, routers, segment, {}, reveal=reveal),
        )
        for segment, shards in context.topology.mongo.segments.items()
    ]
    return (
        *application,
        Endpoint(
            "mongo-admin",
            f"administrators, by {kind}",
            _uri(context, ADMIN, routers, "admin", {}, reveal=reveal),
        ),
        Endpoint(
            "mongo-monitor",
            f"monitoring, by {kind}",
            _uri(context, MONITOR, routers, "admin", {}, reveal=reveal),
        ),
        *(_direct(context, one, reveal=reveal) for one in nodes.replica_sets(context)),
    )


def _direct(context: Context, replica_set: SetNodes, *, reveal: bool) -> Endpoint:
    members = (node for node in replica_set.nodes if node.kind is not Kind.ARBITER)
    options = {"replicaSet": replica_set.name}
    return Endpoint(
        f"mongo-{replica_set.name}",
        "monitoring: rs.status() on the members themselves",
        _uri(context, MONITOR, nodes.hosts(members), "admin", options, reveal=reveal),
    )


def _uri(
    context: Context, user: str, hosts: str, database: str, options: dict[str, str], *, reveal: bool
) -> str:
    known = login(context, user)
    password = quote_plus(known.password.get_secret_value()) if reveal else MASK
    tls = {"tls": "true", "tlsCAFile": context.trust} if context.trust else {}
    query = urlencode({"authSource": known.database, **options, **tls}, safe="/")
    return f"mongodb://{quote_plus(known.user)}:{password}@{hosts}/{database}?{query}"
