"""mongod's certificates: a renewed one is taken when the server is told to."""

from cluster import tls
from cluster.clock import wait_for
from cluster.context import Context
from cluster.inventory import Node
from cluster.plan import Step
from cluster.shown import shows_its_own, step
from mongo import nodes
from mongo.client import node_client
from mongo.credentials import internal
from mongo.servers import RouterKind, router_kind

TAKEN_SECONDS = 10


def steps(context: Context) -> tuple[Step, ...]:
    """Each server shows the certificate that it was given; none without TLS, and for pods."""
    if not tls.issued_here(context):
        return ()
    sets = nodes.replica_sets(context)
    members = (_step(context, one.component, node) for one in sets for node in one.nodes)
    routers = nodes.routers(context)
    told = router_kind(context) is RouterKind.MONGOS  # the segment router looks by itself
    return (
        *members,
        *(_step(context, nodes.ROUTERS_COMPONENT, node) for node in routers if told),
    )


def _step(context: Context, component: str, node: Node) -> Step:
    return step(context, node, nodes.port(node), component, take, f"start {node.name}")


def take(context: Context, node: Node) -> None:
    """Have a server read its certificate anew; connections that it has go on.

    https://www.mongodb.com/docs/v6.0/reference/command/rotateCertificates/
    """

    def shown() -> bool:
        return shows_its_own(context, node, nodes.port(node))

    def told() -> bool:
        if shown():
            return True
        with node_client(node, internal(context)) as client:
            client.admin.command("rotateCertificates", 1)
        return shown()

    wait_for(f"{node.name}'s certificate", told, seconds=TAKEN_SECONDS, clock=context.clock)
