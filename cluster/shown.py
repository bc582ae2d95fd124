"""Which certificate each port shows, and whether it is the one that its node was given."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from cluster import tls
from cluster.certificates import serial
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.handshake import presented
from cluster.inventory import Inventory, Kind, Node
from cluster.plan import Finding, Step, done, todo
from cluster.server import Server

AT_ONCE = 16


class Shows(StrEnum):
    """What a port shows to its clients."""

    GIVEN = "as given"
    ANOTHER = "another"  # an older one, or another node's
    NONE = "none"  # nobody answers, without TLS, or with what clients refuse


@dataclass(frozen=True)
class Port:
    """A port, and what it should show: the certificate of one of the nodes `of`."""

    server: Server
    number: int
    of: frozenset[str]


@dataclass(frozen=True)
class Shown:
    """What a port shows. `days` that it is valid for, None where it shows nothing."""

    server: str
    node: str
    port: int
    shows: Shows
    names: tuple[str, ...] = ()
    days: float | None = None
    why: str = ""


def ports(inventory: Inventory, servers: Sequence[Server]) -> list[Port]:
    """The ports of the servers that have a certificate."""
    return [
        Port(server, number, _of(inventory, server, number))
        for server in servers
        if server.certificate
        for number in server.ports
    ]


def _of(inventory: Inventory, server: Server, port: int) -> frozenset[str]:
    """HAProxy passes PostgreSQL's own TLS on: what is seen there is a member's."""
    if server.node.kind is Kind.HAPROXY and port in server.negotiated:
        return frozenset(node.name for node in inventory.of(Kind.POSTGRES))
    return frozenset({server.node.name})


def given(servers: Sequence[Server]) -> dict[str, str]:
    """The serial number of each node's certificate, by the node's name."""
    return {
        server.node.name: serial(server.certificate.text)
        for server in servers
        if server.certificate
    }


def with_certificate(server: Server, pem: str) -> Server:
    """The server with another certificate."""
    files = (
        replace(file, text=pem) if file is server.certificate else file for file in server.files
    )
    return replace(server, files=tuple(files))


def look(context: Context, servers: Sequence[Server]) -> list[Shown]:
    """What every port of these servers shows now. Raises nothing for a port that is silent."""
    known, now = given(servers), datetime.now(UTC)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(
            pool.map(
                lambda port: seen(context, port, known, now), ports(context.inventory, servers)
            )
        )


def seen(context: Context, port: Port, known: dict[str, str], now: datetime) -> Shown:
    """What one port shows, beside the serial numbers that are known by node."""
    server, node = port.server, port.server.node
    shown = Shown(server.name, node.name, port.number, Shows.NONE)
    try:
        found = presented(
            node.address,
            port.number,
            str(context.layout.authority),
            negotiated=port.number in server.negotiated,
            own=tls.operator_file(context) if node.kind is Kind.ETCD else "",
        )
    except UnreachableError as error:
        return replace(shown, why=error.message)
    fits = found.serial in {known.get(name) for name in port.of}
    return replace(
        shown,
        shows=Shows.GIVEN if fits else Shows.ANOTHER,
        names=tuple(sorted(found.names)),
        days=found.days(now),
    )


def shows_its_own(context: Context, node: Node, port: int) -> bool:
    """Whether a port shows the certificate that its node was given. Raises UnreachableError."""
    (pem,) = tls.files(context, node)
    return presented(node.address, port, context.trust).serial == serial(pem.text)


def step(
    context: Context,
    node: Node,
    port: int,
    component: str,
    take: Callable[[Context, Node], None],
    needs: str,
) -> Step:
    """The server at that port shows the certificate that it was given; `take` has it read it."""

    def check() -> Finding:
        try:
            same = shows_its_own(context, node, port)
        except UnreachableError as error:
            return todo(error.message)
        if same:
            return done("shows the certificate that it was given")
        return todo("shows an older certificate")

    what = f"have {node.name} take its certificate"
    name = f"certificate {node.name}"
    return Step(name, component, what, check, lambda: take(context, node), (needs,))
