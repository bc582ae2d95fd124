"""How each node of the PostgreSQL side is; works while half of them are down."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.status import Health, NodeStatus
from postgres import etcd, haproxy, names, patroni, pooler
from postgres.client import session
from postgres.lag import LAG_SECONDS
from postgres.scopes import Scope, fenced_scope, scopes

SECONDS = 1.0

LAG = f"SELECT {LAG_SECONDS}"
ARCHIVER = """
SELECT last_failed_time > coalesce(last_archived_time, '-infinity'),
  extract(epoch FROM clock_timestamp() - last_archived_time)::int
FROM pg_stat_archiver"""


@dataclass(frozen=True)
class Inside:
    """What a node's PostgreSQL and pgbouncer said; None where they did not answer."""

    lag_seconds: float | None
    archive: str
    archive_fails: bool
    pooler: str | None


def status(context: Context) -> tuple[NodeStatus, ...]:
    """Every node of the PostgreSQL side, all asked at once."""
    asked: list[Callable[[], NodeStatus]] = []
    for scope in scopes(context):
        states = patroni.states(scope.members, SECONDS)
        asked += [partial(_postgres, context, scope, node, states) for node in scope.members]
        asked += [partial(_etcd, node) for node in scope.etcd]
    fenced = fenced_scope(context)
    asked += [partial(_fenced, node) for node in (fenced.members if fenced else ())]
    asked += [partial(_etcd, node) for node in (fenced.etcd if fenced else ())]
    asked += [partial(_haproxy, context, node) for node in context.inventory.of(Kind.HAPROXY)]
    with ThreadPoolExecutor(len(asked), thread_name_prefix="status") as pool:
        return tuple(pool.map(lambda ask: ask(), asked))


def postgres_status(
    node: Node, scope: Scope, state: patroni.MemberState, inside: Inside
) -> NodeStatus:
    """The status of a member from what it said."""
    role, healthy = _role(scope, state)
    notes = [
        "paused" if state.paused else "",
        "nobody leads" if state.unlocked else "",
        "failsafe mode" if state.failsafe_active else "",
        "restart pending" if state.pending_restart else "",
        inside.archive,
        inside.pooler or "pgbouncer does not answer",
    ]
    good = healthy and not (state.unlocked or state.paused or inside.archive_fails)
    return NodeStatus(
        node,
        Health.OK if good and inside.pooler else Health.DEGRADED,
        role,
        lag_seconds=inside.lag_seconds if state.replication_state == "streaming" else None,
        epoch=f"timeline {state.timeline}" if state.timeline else "",
        detail=", ".join(note for note in notes if note),
    )


def _role(scope: Scope, state: patroni.MemberState) -> tuple[str, bool]:
    """A member's role as operators call it, and whether that is as it should be."""
    if not state.running:
        return state.state or "unknown", False
    if state.primary:
        # A DR member must never be one.
        return "primary", scope.follows is None and _protected(scope, state)
    streaming = state.replication_state == "streaming"
    if state.role == "standby_leader":
        return "DR standby leader", streaming
    role = "synchronous standby" if state.sync_standby else "standby"
    return role, streaming


def _protected(scope: Scope, state: patroni.MemberState) -> bool:
    """Whether a primary has the synchronous standby that its scope is meant to have."""
    return not scope.synchronous or any(row.sync_state == "sync" for row in state.replication)


def as_the_primary_says(states: Mapping[str, patroni.MemberState], name: str) -> bool:
    """Whether commits wait for this member.

    The primary's word comes first: a standby hears of it only in its own next round (loop_wait).
    """
    primaries = [state for state in states.values() if state.primary]
    if not primaries:
        return states[name].sync_standby
    rows = [row for state in primaries if (row := state.standby(name))]
    return any(row.sync_state == "sync" for row in rows)


def _postgres(
    context: Context, scope: Scope, node: Node, states: Mapping[str, patroni.MemberState]
) -> NodeStatus:
    if node.name not in states:
        return NodeStatus(node, Health.DOWN, "down", detail="Patroni does not answer")
    state = replace(states[node.name], sync_standby=as_the_primary_says(states, node.name))
    with ThreadPoolExecutor(2) as pool:
        server = pool.submit(_server, context, node)
        pooler = pool.submit(_pooler, context, node)
        lag, archive, fails = server.result()
        return postgres_status(node, scope, state, Inside(lag, archive, fails, pooler.result()))


def _server(context: Context, node: Node) -> tuple[float | None, str, bool]:
    """Lag in seconds, what the archiver did last, whether it fails."""
    try:
        with session(
            host=node.address,
            port=names.POSTGRES_PORT,
            user=names.MONITOR,
            password=names.password(context, names.MONITOR),
            database="postgres",
            trust=node.trust,
            seconds=SECONDS,
        ) as connection:
            row = connection.execute(LAG).fetchone()
            archiver = connection.execute(ARCHIVER).fetchone()
    except OpsError:
        return None, "", False
    lag = row[0] if row else None
    if lag is not None or archiver is None:
        return lag, "", False
    fails, age = archiver
    if age is None:
        return lag, "nothing archived yet", bool(fails)
    return lag, f"{'archiving FAILS, last' if fails else 'archived'} {age} s ago", bool(fails)


def _pooler(context: Context, node: Node) -> str | None:
    pools = pooler.pools(context, node, SECONDS)
    if pools is None:
        return None
    clients = sum(pool["cl_active"] + pool["cl_waiting"] for pool in pools) - 1  # not this one
    waiting = sum(pool["cl_waiting"] for pool in pools)
    return f"pool: {clients} clients" + (f", {waiting} waiting" if waiting else "")


def _fenced(node: Node) -> NodeStatus:
    """A member of the region that another one took over from: nothing may answer there."""
    if patroni.states([node], SECONDS):
        return NodeStatus(node, Health.DOWN, "fenced", detail="it answers, and must not: stop it")
    detail = "the DR region leads; `dr failback` makes this anew"
    return NodeStatus(node, Health.DEGRADED, "fenced", detail=detail)


def _etcd(node: Node) -> NodeStatus:
    try:
        seen = etcd.member_health(node, SECONDS)
    except UnreachableError as error:
        return NodeStatus(node, Health.DOWN, "down", detail=error.message)
    return NodeStatus(
        node,
        Health.OK if seen.has_leader else Health.DEGRADED,
        "leader" if seen.leader else "member",
        epoch=f"term {seen.term}",
        detail="" if seen.has_leader else "no quorum",
    )


def _haproxy(context: Context, node: Node) -> NodeStatus:
    try:
        seen = haproxy.routes(node, names.password(context, names.STATS_USER), SECONDS)
    except UnreachableError as error:
        return NodeStatus(node, Health.DOWN, "down", detail=error.message)
    writes = [seen.to(listener) for listener in ("pooled", "direct")]
    detail = ", ".join(f"{name} → {' '.join(up) or 'nobody'}" for name, up in seen.up.items())
    return NodeStatus(node, Health.OK if all(writes) else Health.DEGRADED, "proxy", detail=detail)
