"""mongod's certificates: a renewed one is taken when the server is told to."""

from cluster import tls
from cluster.certificates import serial
from cluster.clock import wait_for
from cluster.context import Context
from cluster.handshake import presented
from cluster.inventory import Node
from cluster.plan import Finding, Step, done, todo
from mongo import nodes
from mongo.client import node_client, unless_silent
from mongo.credentials import internal
from mongo.servers import RouterKind, router_kind

TAKEN_SECONDS = 10


def steps(context: Context) -> tuple[Step, ...]:
    """Each server shows the certificate that it was given; none without TLS."""
    if not context.trust:
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
    def check() -> Finding:
        if shows_its_own(context, node):
            return done("shows the certificate that it was given")
        return todo("shows an older certificate")

    return Step(
        f"certificate {node.name}",
        component,
        f"have {node.name} take its certificate",
        unless_silent(check),
        lambda: take(context, node),
        (f"start {node.name}",),
    )


def shows_its_own(context: Context, node: Node) -> bool:
    """Whether a server shows what it was given. Raises UnreachableError."""
    (given,) = tls.files(context, node)
    shown = presented(node.address, nodes.port(node), context.trust)
    return shown.serial == serial(given.text)


def take(context: Context, node: Node) -> None:
    """Have a server read its certificate anew; connections that it has go on.

    https://www.mongodb.com/docs/v6.0/reference/command/rotateCertificates/
    """

    def shown() -> bool:
        return shows_its_own(context, node)

    def told() -> bool:
        if shown():
            return True
        with node_client(node, internal(context)) as client:
            client.admin.command("rotateCertificates", 1)
        return shown()

    wait_for(f"{node.name}'s certificate", told, seconds=TAKEN_SECONDS, clock=context.clock)
