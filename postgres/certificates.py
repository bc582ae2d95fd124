"""The proxies' certificate: a renewed one is put into the running HAProxy.

A reload would have the old process end what is left of its sessions after `hard-stop-after`.
"""

from cluster import tls
from cluster.clock import wait_for
from cluster.context import Context
from cluster.inventory import Kind, Node
from cluster.plan import Step
from cluster.shown import shows_its_own, step
from postgres import control_socket, names

TAKEN_SECONDS = 10


def steps(context: Context) -> tuple[Step, ...]:
    """Each proxy shows the certificate that it was given; none without TLS, and for pods."""
    nodes = context.inventory.of(Kind.HAPROXY) if tls.issued_here(context) else ()
    port, component = names.STATS_PORT, names.EDGE
    return tuple(step(context, node, port, component, take, f"start {node.name}") for node in nodes)


def take(context: Context, node: Node) -> None:
    """Have a proxy show its new certificate; connections that it has go on.

    https://docs.haproxy.org/2.6/management.html#9.3 (set ssl cert, commit ssl cert)
    """
    (given,) = tls.files(context, node)
    path, control = tls.pem_file(context, node), context.layout.run(node) / names.HAPROXY_SOCKET

    def shown() -> bool:
        if shows_its_own(context, node, names.STATS_PORT):
            return True
        control_socket.ask(
            control, f"set ssl cert {path} <<\n{given.text.strip()}\n\n", "Transaction"
        )
        control_socket.ask(control, f"commit ssl cert {path}\n", "Success!")
        return shows_its_own(context, node, names.STATS_PORT)

    wait_for(f"{node.name}'s certificate", shown, seconds=TAKEN_SECONDS, clock=context.clock)
