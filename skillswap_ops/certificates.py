"""Certificates on the local target: what each port shows, and new ones without a restart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import mongo.certificates
import postgres.certificates
from cluster import shown, tls
from cluster.backup.contracts import Say
from cluster.certificates import validity
from cluster.clock import wait_for
from cluster.errors import InvalidInputError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.server import Server
from cluster.shown import Port, Shown, Shows
from manifests import redis
from mongo import nodes
from mongo.servers import RouterKind, router_kind
from skillswap_ops.engines import all_servers
from skillswap_ops.upkeep import at_work
from skillswap_ops.wiring import LocalContext

# etcd looks at each new connection, the segment router and the services every five seconds; the
# rest is machines that have more to do.
TAKEN_SECONDS = 60


@dataclass(frozen=True)
class Rotated:
    """A node's new certificate: who shows it, who stands still and will, and after how long."""

    node: str
    servers: tuple[str, ...]
    stopped: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Listed:
    """The certificates that are shown, and the days that the authority itself is valid for."""

    authority_days: float
    ports: tuple[Shown, ...]

    @property
    def as_given(self) -> bool:
        """Whether every port shows what it should."""
        return all(port.shows is Shows.GIVEN for port in self.ports)


def listed(context: LocalContext) -> Listed:
    """What every port shows now. Raises InvalidInputError where no server has a certificate."""
    found = _with_certificates(context)
    authority = validity(tls.authority(context).certificate_file().read_bytes())
    return Listed(authority.days(datetime.now(UTC)), tuple(shown.look(context, found)))


def rotate(context: LocalContext, only: Sequence[str], say: Say) -> list[Rotated]:
    """Give these nodes (all without any) new keys and certificates, a node after the other.

    Nothing restarts, and connections that are open go on. Raises RefusedError before anything is
    touched where a server would have to restart for other reasons, UnreachableError where one does
    not show its new certificate in time: the nodes after it keep theirs.
    """
    with at_work(context, "certs rotate"):
        servers = chosen(_with_certificates(context), only)
        refuse(context, servers)
        done = roll(context, servers, say)
        if not only and context.trust:
            tls.authority(context).renew(tls.OPERATOR, tls.OPERATOR_NAMES)
        return done


def roll(context: LocalContext, servers: Sequence[Server], say: Say) -> list[Rotated]:
    """As `rotate`, for these servers; a node's are together."""
    by_node: dict[str, list[Server]] = {}
    for server in servers:
        by_node.setdefault(server.node.name, []).append(server)
    done = []
    for place, found in enumerate(by_node.values(), 1):
        done.append(_rotate(context, found))
        say(f"{place}/{len(by_node)} {_said(done[-1])}")
    return done


def refuse(context: LocalContext, servers: Sequence[Server]) -> None:
    """Raises RefusedError where a server that runs has not the settings that it should have."""
    target = context.target
    changed = [
        server.name
        for server in servers
        if target.state(server).running and not target.started_as_written(server)
    ]
    if changed:
        raise RefusedError(
            f"not as the topology says, and would have to restart: {', '.join(changed)}",
            "run `skillswap-ops provision` first",
        )


def _with_certificates(context: LocalContext) -> list[Server]:
    found = [server for server in all_servers(context) if server.certificate]
    if not found:
        raise InvalidInputError(
            f"no server of {context.topology.name} speaks TLS",
            "`tls: {enabled: true}` in the topology of a new cluster",
        )
    return found


def chosen(servers: list[Server], only: Sequence[str]) -> list[Server]:
    """The servers of these nodes, all without any. Raises InvalidInputError for an unknown one."""
    known = {server.node.name for server in servers}
    if unknown := sorted({*only} - known):
        raise InvalidInputError(
            f"no node with a certificate: {', '.join(unknown)}", f"there are: {', '.join(known)}"
        )
    return [server for server in servers if server.node.name in only or not only]


def _rotate(context: LocalContext, servers: Sequence[Server]) -> Rotated:
    """One node. Killed anywhere, `provision` and the next rotation finish it."""
    node, began, target = servers[0].node, context.clock.monotonic(), context.target
    own, names = tls.authority(context), tls.names(context.inventory, node)
    own.renew(node.name, names)
    pem = own.pem(node.name, names)
    running: list[Server] = []
    stopped: list[Server] = []
    for server in (shown.with_certificate(server, pem) for server in servers):
        is_up = target.state(server).running
        (running if is_up else stopped).append(server)
        if is_up and server.certificate and not server.certificate.live:
            target.reload(server)
        else:
            target.write(server)
    for tell in [_taker(context, server.node) for server in running]:
        tell()
    known = shown.given(running)
    for port in shown.ports(context.inventory, running):
        if node.name in port.of:
            _await_shown(context, port, known)
    return Rotated(
        node.name,
        tuple(server.name for server in running),
        tuple(server.name for server in stopped),
        context.clock.monotonic() - began,
    )


def _taker(context: LocalContext, node: Node) -> Callable[[], None]:
    """Tells a server that has no signal for it; who looks by itself is not told."""
    by_command = nodes.is_mongo(node) and (
        node.kind is not Kind.ROUTER or router_kind(context) is RouterKind.MONGOS
    )
    if by_command:
        return lambda: mongo.certificates.take(context, node)
    if node.kind is Kind.REDIS:
        return lambda: redis.take(context, node)
    if node.kind is Kind.HAPROXY:
        return lambda: postgres.certificates.take(context, node)
    return lambda: None


def _await_shown(context: LocalContext, port: Port, known: dict[str, str]) -> None:
    def there() -> bool:
        found = shown.seen(context, port, known, datetime.now(UTC))
        if found.shows is Shows.NONE:
            raise UnreachableError(found.why)
        return found.shows is Shows.GIVEN

    wait_for(
        f"the new certificate of {port.server.name} at port {port.number}",
        there,
        seconds=TAKEN_SECONDS,
        every=0.2,
        clock=context.clock,
    )


def _said(done: Rotated) -> str:
    taken = f"{done.node}: taken by {', '.join(done.servers)}" if done.servers else done.node
    waits = f"; {', '.join(done.stopped)} stopped, takes it at its start" if done.stopped else ""
    return f"{taken}{waits}, {done.seconds:.1f} s"
