"""Making members anew: what restores and changes of region share. Each function is idempotent."""

import socket
from collections.abc import Iterable

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from cluster.plan import Step
from cluster.server import Server
from postgres import names, patroni, rescue, servers
from postgres.etcd import member_health
from postgres.scopes import Scope, data_folder

ETCD_SECONDS = 60
LISTEN_SECONDS = 1.0
LEFT_SECONDS = 60  # of a fast shutdown, as pg_ctl itself waits
# What Patroni keeps of a cluster that it has led (patroni.dcs.AbstractDCS), beside `config`.
LED = ("leader", "status", "sync", "failover", "failsafe", "history")


def settle(*steps: Step) -> None:
    """Do these steps now, in this order. Raises OpsError where one fails."""
    for step in steps:
        if not step.check().done:
            step.act()


def stop_members(context: Context, scope: Scope, *, pools: bool = False) -> None:
    """Stop every Patroni with its PostgreSQL, the leader last, so that nobody takes over."""
    for node in [*_followers_first(scope)]:
        context.target.stop(servers.patroni(context, scope, node))
        _stop_left(context, node)
        if pools:
            context.target.stop(servers.pgbouncer(context, scope, node))
    assert_stopped(context, scope)


def assert_stopped(context: Context, scope: Scope) -> None:
    """Raises OpsError where a member of the scope still runs, with a Patroni or without."""
    for node in scope.members:
        state = context.target.state(servers.patroni(context, scope, node))
        if state.running or answers(node) or listens(node):
            raise OpsError(f"{node.name} still runs", "stop it, and run this again")


def answers(node: Node) -> bool:
    """Whether a Patroni answers there."""
    try:
        patroni.state(node)
    except UnreachableError:
        return False
    return True


def listens(node: Node) -> bool:
    """Whether a PostgreSQL takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(LISTEN_SECONDS)
        try:
            return probe.connect_ex((node.address, names.POSTGRES_PORT)) == 0
        except socket.gaierror:  # of a pod that is not there
            return False


def start(context: Context, server: Server) -> None:
    """Start it with its files as they are to be now; where it runs, let it read them."""
    if context.target.state(server).running:
        context.target.reload(server)
    else:
        context.target.start(server)


def start_etcd(context: Context, scope: Scope) -> None:
    """The scope's etcd runs and has a leader."""
    for node in scope.etcd:
        server = servers.etcd(context, scope, node)
        if not context.target.state(server).running:
            context.target.start(server)
    wait_for(
        f"{scope.name}'s etcd",
        lambda: any(member_health(node).has_leader for node in scope.etcd),
        seconds=ETCD_SECONDS,
        clock=context.clock,
    )


def forget_leader(context: Context, scope: Scope, *, anew: bool) -> None:
    """Remove from etcd what a scope remembers of its past; `anew`: also that it was ever made.

    Only while none of its members runs. The dynamic configuration stays.
    """
    assert_stopped(context, scope)
    etcd = rescue.administer(context, scope)
    for key in (*LED, *(["initialize"] if anew else [])):
        etcd.delete(rescue.prefix(scope) + key)


def empty(context: Context, node: Node) -> None:
    """Remove a stopped member's data, and its WAL where that has a volume of its own."""
    folders = [str(data_folder(context.layout, node))]
    if context.topology.postgres.wal_volume:
        folders.append(str(context.layout.wal(node) / "pg_wal"))
    ended = context.target.run_tool(node, ("rm", "-rf", *folders), seconds=600)
    if ended.code:
        raise OpsError(f"{node.name}'s data cannot be removed: {ended.stderr.strip()[:200]}")


def reload_all(context: Context, wanted: Iterable[Server]) -> None:
    """Put their files as they are to be, and make those that run read them."""
    for server in wanted:
        if context.target.state(server).running:
            context.target.reload(server)


def allow_promotion(context: Context, scope: Scope) -> None:
    """Put the marker without which a follower refuses to be promoted."""
    for node in scope.members:
        _tool(context, node, "touch", str(servers.promotion_marker(context, node)))


def forbid_promotion(context: Context, scope: Scope) -> None:
    """Take the marker away."""
    for node in scope.members:
        _tool(context, node, "rm", "-f", str(servers.promotion_marker(context, node)))


def promote(context: Context, scope: Scope, seconds: float) -> Node:
    """Make a standby scope one that takes writes, which it is allowed to; who leads it then."""
    leader = patroni.leader_of(scope)
    if patroni.config(leader).get("standby_cluster"):
        password = names.password(context, names.REST_USER)
        patroni.change_config(leader, password, {"standby_cluster": None})

    def primary() -> Node | None:
        node = patroni.find_leader(scope)
        return node if node and patroni.state(node).primary else None

    return wait_for(
        f"promotion of {scope.name}", primary, seconds=seconds, every=0.2, clock=context.clock
    )


def _stop_left(context: Context, node: Node) -> None:
    """Stop a PostgreSQL that its Patroni left running, as a paused one does (Ha.shutdown)."""
    if not listens(node):
        return
    program = context.programs.postgres("pg_ctl", context.topology.postgres.version)
    data = str(data_folder(context.layout, node))
    patience = ("-m", "fast", "-w", "-t", str(LEFT_SECONDS))
    ended = context.target.run_tool(
        node, (program, "-s", "-D", data, *patience, "stop"), seconds=LEFT_SECONDS + 10
    )
    if ended.code and listens(node):
        raise OpsError(
            f"PostgreSQL of {node.name} does not stop: {ended.stderr.strip()[:200]}",
            "it runs without Patroni: end its postmaster, and run this again",
        )


def _followers_first(scope: Scope) -> list[Node]:
    states = patroni.states(scope.members)
    leading = {name for name, state in states.items() if state.role in patroni.LEADER_ROLES}
    return sorted(scope.members, key=lambda node: node.name in leading)


def _tool(context: Context, node: Node, *argv: str) -> None:
    ended = context.target.run_tool(node, argv)
    if ended.code:
        raise OpsError(f"{argv[0]} on {node.name}: {ended.stderr.strip()[:200]}")
