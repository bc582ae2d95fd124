"""Facts of PostgreSQL: scopes, members, slots, the archiver, poolers and proxies.

The monitoring user asks PostgreSQL and pgbouncer; Patroni, etcd and HAProxy tell their health to
anybody, or to the statistics user.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from postgres import etcd, haproxy, names, patroni, pooler
from postgres.client import Connection, session
from postgres.lag import LAG_SECONDS
from postgres.scopes import Scope, scopes
from runbooks.facts.mongo import clock_offset
from runbooks.facts.records import (
    ClockOffset,
    EtcdFact,
    Fact,
    Facts,
    PgArchive,
    PgMember,
    PgScope,
    PgSlot,
    Pooler,
    Proxy,
)

SECONDS = 4.0  # a slow machine is no lost server
MEGABYTE = 1024**2

MEMBER = f"""
SELECT pg_is_in_recovery(), {LAG_SECONDS},
  CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
  clock_timestamp()"""
ARCHIVER = """
SELECT last_failed_time > coalesce(last_archived_time, '-infinity'),
  extract(epoch FROM clock_timestamp() - last_archived_time)::float8
FROM pg_stat_archiver"""
SLOTS = """
SELECT slot_name, active, coalesce(wal_status, 'lost'),
  coalesce(pg_current_wal_flush_lsn() - restart_lsn, 0)::float8
FROM pg_replication_slots WHERE slot_type = 'physical'"""


@dataclass(frozen=True)
class Inside:
    """What a PostgreSQL says of itself; `standby`: it is in recovery. None: it says nothing."""

    standby: bool
    lag_seconds: float | None
    replay_paused: bool | None
    facts: tuple[Fact, ...]


def read(context: Context) -> Facts:
    """Every scope, all asked at once."""
    found = scopes(context)
    with ThreadPoolExecutor(len(found) + 1, thread_name_prefix="facts") as pool:
        edge = pool.submit(_proxies, context)
        of_scopes = list(pool.map(lambda scope: _scope(context, scope), found))
    leading = of_scopes[0][0]
    follower = next((one[0] for one in of_scopes[1:] if one[0].answering), None)
    away = follower.name if follower and follower.quorum else ""
    facts: list[Fact] = []
    for number, (scope, rest) in enumerate(of_scopes):
        facts += [scope if number else replace(scope, dr=away), *rest]
    facts += [
        Proxy(node.name, leading.name, routes is not None, _leads_to(routes), leading.primary)
        for node, routes in edge.result()
    ]
    return Facts(tuple(facts))


def scope_fact(
    scope: Scope,
    states: Mapping[str, patroni.MemberState],
    inside: Mapping[str, Inside | None],
    healths: Sequence[etcd.MemberHealth | None],
) -> PgScope:
    """A scope, from what its members and its etcd say."""
    writable = [node.name for node in scope.members if _writable(inside.get(node.name))]
    primary = writable[0] if len(writable) == 1 else ""
    row = states.get(primary)
    attached = bool(row and any(one.sync_state == "sync" for one in row.replication))
    streaming = {one.name for one in row.replication if one.state == "streaming"} if row else set()
    there = [health for health in healths if health is not None]
    quorum = any(one.has_leader for one in there) and len(there) > len(scope.etcd) // 2
    # A Patroni that hears nothing from PostgreSQL does not say who is missing: the topology does.
    missing = [n.name for n in scope.members if n.name != primary and n.name not in streaming]
    return PgScope(
        name=scope.name,
        group=scope.name,
        leads=scope.follows is None,
        total=len(scope.members),
        answering=len(states),
        writable=len(writable),
        primary=primary,
        standby_wanted=bool(scope.synchronous) and len(scope.members) > 1,
        attached=attached,
        missing=missing[0] if primary and missing else "",
        paused=any(state.paused for state in states.values()),
        quorum=quorum,
        gone=not states and not there and not any(inside.values()),
        dr="",
    )


def member_fact(
    scope: Scope, node: Node, state: patroni.MemberState | None, inside: Inside | None
) -> PgMember:
    """A member, from what Patroni and PostgreSQL say."""
    streaming = state.replication_state == "streaming" if state and state.running else None
    return PgMember(
        name=node.name,
        group=scope.name,
        away=scope.follows is not None,
        answers=state is not None,
        role=state.role if state else "unknown",
        streaming=None if _writable(inside) else streaming,
        writable=_writable(inside),
        lag_seconds=inside.lag_seconds if inside else None,
        replay_paused=inside.replay_paused if inside else None,
    )


def _writable(inside: Inside | None) -> bool:
    return inside is not None and not inside.standby


def _scope(context: Context, scope: Scope) -> tuple[PgScope, list[Fact]]:
    """The scope's own fact, and those of what is in it."""
    members = scope.members
    with ThreadPoolExecutor(3 * len(members) + len(scope.etcd) + 1) as pool:
        states = pool.submit(patroni.states, members, SECONDS)
        inside = [pool.submit(_inside, context, scope, node) for node in members]
        pools = [pool.submit(_pooler, context, scope, node) for node in members]
        healths = [pool.submit(_etcd, node) for node in scope.etcd]
    by_name = {node.name: one.result() for node, one in zip(members, inside, strict=True)}
    facts: list[Fact] = [
        member_fact(scope, node, states.result().get(node.name), by_name[node.name])
        for node in members
    ]
    facts += [one.result() for one in pools]
    facts += [fact for one in by_name.values() if one for fact in one.facts]
    seen = scope_fact(scope, states.result(), by_name, [one.result() for one in healths])
    answering = sum(one.result() is not None for one in healths)
    group = scope.etcd[0].group if scope.etcd else scope.name
    facts.append(
        EtcdFact(scope.name, group, len(scope.etcd), answering, seen.quorum, seen.gone, seen.leads)
    )
    return seen, facts


def _inside(context: Context, scope: Scope, node: Node) -> Inside | None:
    try:
        with session(
            host=node.address,
            port=names.POSTGRES_PORT,
            user=names.MONITOR,
            password=names.password(context, names.MONITOR),
            database="postgres",
            trust=node.trust,
            seconds=SECONDS,
            statement_seconds=SECONDS,
        ) as connection:
            return _of_server(connection, scope, node)
    except OpsError:
        return None


def _of_server(connection: Connection, scope: Scope, node: Node) -> Inside | None:
    before = datetime.now(UTC)
    row = connection.execute(MEMBER).fetchone()
    if row is None:
        return None
    standby, lag, paused, there = row
    facts: list[Fact] = [
        ClockOffset(node.name, node.name, clock_offset(before, there, datetime.now(UTC)))
    ]
    if not standby:
        facts += _of_primary(connection, scope, node)
    return Inside(bool(standby), lag, paused, tuple(facts))


def _of_primary(connection: Connection, scope: Scope, node: Node) -> list[Fact]:
    archiver = connection.execute(ARCHIVER).fetchone() or (False, None)
    facts: list[Fact] = [PgArchive(node.name, scope.name, bool(archiver[0]), archiver[1])]
    facts += [
        PgSlot(slot, scope.name, node.name, bool(active), kept, float(size) / MEGABYTE)
        for slot, active, kept, size in connection.execute(SLOTS).fetchall()
    ]
    return facts


def _pooler(context: Context, scope: Scope, node: Node) -> Pooler:
    pools = pooler.pools(context, node, SECONDS)
    if pools is None:
        return Pooler(node.name, scope.name, False, None, None, None)  # noqa: FBT003
    return pooler_fact(scope, node, pools)


def pooler_fact(scope: Scope, node: Node, pools: Sequence[Mapping[str, int]]) -> Pooler:
    """A pgbouncer, from its SHOW POOLS: https://www.pgbouncer.org/usage.html#show-pools"""
    clients = sum(pool["cl_active"] + pool["cl_waiting"] for pool in pools) - 1  # not this one
    waiting = sum(pool["cl_waiting"] for pool in pools)
    longest = max((pool["maxwait"] + pool["maxwait_us"] / 1e6 for pool in pools), default=0.0)
    return Pooler(node.name, scope.name, True, clients, waiting, longest)  # noqa: FBT003


def _etcd(node: Node) -> etcd.MemberHealth | None:
    try:
        return etcd.member_health(node, SECONDS)
    except OpsError:
        return None


def _proxies(context: Context) -> list[tuple[Node, haproxy.Routes | None]]:
    found = context.inventory.of(Kind.HAPROXY)
    password = names.password(context, names.STATS_USER)
    with ThreadPoolExecutor(max(1, len(found))) as pool:
        return list(zip(found, pool.map(partial(_routes, password), found), strict=True))


def _routes(password: str, node: Node) -> haproxy.Routes | None:
    try:
        return haproxy.routes(node, password, SECONDS)
    except UnreachableError:
        return None


def _leads_to(routes: haproxy.Routes | None) -> str:
    return (routes.to("pooled") or "") if routes else ""
