"""What the nodes of the PostgreSQL side are asked for monitoring, and what it comes to.

Connections are kept, and every wait has a deadline: a frozen server costs one slow answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.metrics import Reader, Reading, values
from postgres import etcd, haproxy, names, patroni, wire
from postgres.client import secured
from postgres.lag import LAG_SECONDS
from postgres.patroni import MemberState
from postgres.scopes import Scope, away_scope, home_scope, scopes

SECONDS = 1.0
APPLICATION = "skillswap-ops monitor"
STATE = f"""
SELECT pg_is_in_recovery()::int AS recovers,
  (pg_control_checkpoint()).timeline_id AS timeline,
  {LAG_SECONDS} AS lag,
  (SELECT count(*) FROM pg_stat_replication
    WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')) AS synchronous,
  (SELECT archived_count FROM pg_stat_archiver) AS archived,
  (SELECT failed_count FROM pg_stat_archiver) AS failed,
  (SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)::int
    FROM pg_stat_archiver) AS failing,
  (SELECT extract(epoch FROM clock_timestamp() - last_archived_time)
    FROM pg_stat_archiver) AS archive_age,
  (SELECT sum(size) FROM pg_ls_waldir()) AS wal,
  (SELECT sum(pg_database_size(oid)) FROM pg_database) AS size,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS clients,
  current_setting('max_connections') AS allowed,
  (SELECT sum(xact_commit) FROM pg_stat_database) AS commits,
  (SELECT sum(xact_rollback) FROM pg_stat_database) AS rollbacks,
  (SELECT sum(deadlocks) FROM pg_stat_database) AS deadlocks,
  (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)
    FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid()) AS oldest"""  # noqa: S608 - a constant
STATE_COLUMNS = (
    "recovers", "timeline", "lag", "synchronous", "archived", "failed", "failing", "archive_age",
    "wal", "size", "clients", "allowed", "commits", "rollbacks", "deadlocks", "oldest",
)  # fmt: skip
# Only a primary knows where its WAL ends, and so how far the others are.
SLOTS = """
SELECT slot_name, active::int,
  greatest(0, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0))
FROM pg_replication_slots WHERE NOT pg_is_in_recovery()"""
STANDBYS = """
SELECT application_name, greatest(0, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0))
FROM pg_stat_replication WHERE NOT pg_is_in_recovery()"""
Rows = tuple[tuple[str, ...], ...]


def readers(context: Context) -> tuple[Reader, ...]:
    """One a program: a member, its pool, an etcd member, a proxy."""
    asked: list[Reader] = []
    for name, members, voters in _scopes(context):
        for node in members:
            asked.append(_MemberReader(context, name, node))
            asked.append(_PoolReader(context, node))
        asked += [_Reader(node, partial(_etcd, name, node)) for node in voters]
    password = names.password(context, names.STATS_USER)
    asked += [
        _Reader(node, partial(_proxy, node, password))
        for node in context.inventory.of(Kind.HAPROXY)
    ]
    return tuple(asked)


def _scopes(context: Context) -> tuple[tuple[str, tuple[Node, ...], tuple[Node, ...]], ...]:
    """Of both regions, whichever leads: who must not run is watched too."""
    found = [home_scope(context, None)]
    if context.topology.postgres.dr:
        found.append(away_scope(context, None))
    return tuple((one.name, one.members, one.etcd) for one in found)


@dataclass(frozen=True)
class _Reader:
    """A node that is asked without a connection that is kept."""

    node: Node
    ask: Callable[[], Sequence[Reading]]

    def read(self) -> Sequence[Reading]:
        """Ask it."""
        return self.ask()

    def close(self) -> None:
        """Nothing is held."""


class _Kept:
    """A connection that is kept while it answers in time."""

    def __init__(self, context: Context, node: Node, port: int, database: str) -> None:
        self._parameters: Mapping[str, str | int] = {
            "host": node.address,
            "port": port,
            "user": names.MONITOR,
            "password": names.password(context, names.MONITOR),
            "dbname": database,
            "application_name": APPLICATION,
            **secured(node.trust),
        }
        self._node = node
        self._wire: wire.Wire | None = None

    def rows(self, question: str) -> Rows:
        """What it answers. Raises UnreachableError, or OpsError where it refuses."""
        held, self._wire = self._wire, None
        try:
            held = held or wire.connect(self._parameters, SECONDS)
        except psycopg.Error as error:
            raise UnreachableError(f"{self._node.name} does not answer: {error}") from error
        reply = held.run(question, SECONDS)
        if reply.end is not wire.End.ANSWERED or reply.error:
            held.close()
            if reply.error:
                raise OpsError(f"{self._node.name}: {reply.error.message}")
            raise UnreachableError(f"{self._node.name} does not answer: {reply.end}")
        self._wire = held
        return reply.rows

    def close(self) -> None:
        """Close it."""
        if self._wire is not None:
            self._wire.close()


class _MemberReader:
    """A member: its PostgreSQL, and its Patroni's word."""

    def __init__(self, context: Context, scope: str, node: Node) -> None:
        self.node, self._scope = node, scope
        self._kept = _Kept(context, node, names.POSTGRES_PORT, "postgres")

    def read(self) -> Sequence[Reading]:
        """Ask both; PostgreSQL's answer is what makes the node up."""
        [row] = self._kept.rows(STATE)
        found = [
            *of_member(self.node.name, self._scope, dict(zip(STATE_COLUMNS, row, strict=True))),
            *of_slots(self.node.name, self._scope, self._kept.rows(SLOTS)),
            *of_standbys(self._scope, self._kept.rows(STANDBYS)),
        ]
        try:
            state = patroni.state(self.node, SECONDS)
        except UnreachableError:
            return found
        return [*found, *of_patroni(self.node.name, self._scope, state)]

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()


class _PoolReader:
    """A member's pgbouncer, whose console speaks the simple query protocol alone."""

    def __init__(self, context: Context, node: Node) -> None:
        self.node = Node(
            f"{node.name}-pgbouncer", node.kind, node.group, node.region, node.zone, node.address
        )
        self._kept = _Kept(context, node, names.PGBOUNCER_PORT, "pgbouncer")

    def read(self) -> Sequence[Reading]:
        """Ask it."""
        return of_pools(self.node.name, self._kept.rows("SHOW POOLS"))

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()


def of_member(node: str, scope: str, row: Mapping[str, str]) -> list[Reading]:
    """A PostgreSQL, from the row of STATE. Pure."""
    here = {"node": node, "scope": scope}
    writes = row["recovers"] == "0"
    both = {
        "postgres_timeline": "timeline",
        "postgres_wal_bytes": "wal",
        "postgres_database_bytes": "size",
        "postgres_connections": "clients",
        "postgres_connections_allowed": "allowed",
        "postgres_commits": "commits",
        "postgres_rollbacks": "rollbacks",
        "postgres_deadlocks": "deadlocks",
        "postgres_oldest_transaction_seconds": "oldest",
    }
    primary = {
        SYNCHRONOUS: "synchronous",
        "postgres_wal_archived": "archived",
        "postgres_wal_archive_failures": "failed",
        "postgres_wal_archive_failing": "failing",
        "postgres_wal_archive_age_seconds": "archive_age",
    }
    wanted = both | (primary if writes else {"postgres_replication_lag_seconds": "lag"})
    return [
        Reading("postgres_takes_writes", writes, here),
        *(
            Reading(name, float(row[column]), here)
            for name, column in wanted.items()
            if row[column]
        ),
    ]


SYNCHRONOUS = "synchronous"  # no metric: its scope's is of the primary alone


def of_slots(node: str, scope: str, rows: Rows) -> list[Reading]:
    """A primary's slots. Pure."""
    found = []
    for slot, active, retained in rows:
        labels = {"node": node, "scope": scope, "slot": slot}
        found.append(Reading("postgres_slot_active", float(active), labels))
        found.append(Reading("postgres_slot_retained_bytes", float(retained), labels))
    return found


def of_standbys(scope: str, rows: Rows) -> list[Reading]:
    """How far a primary's standbys are behind it. Pure."""
    return [
        Reading("postgres_replication_lag_bytes", float(behind), {"node": name, "scope": scope})
        for name, behind in rows
    ]


def of_patroni(node: str, scope: str, state: MemberState) -> list[Reading]:
    """What a Patroni says of itself. Pure."""
    here = {"node": node, "scope": scope}
    streams = [] if state.primary else [state.replication_state == "streaming"]
    return [
        Reading("patroni_paused", state.paused, here),
        Reading("patroni_unlocked", state.unlocked, here),
        *(Reading("postgres_streams", one, here) for one in streams),
    ]


def of_pools(node: str, rows: Rows) -> list[Reading]:
    """`SHOW POOLS`: database, user, cl_active, cl_waiting, …, maxwait (whole seconds), … Pure.

    pgbouncer's own console is a pool of it too, of which this question is the client.
    """
    pools = [row for row in rows if row[0] != "pgbouncer"]
    active, waiting = (sum(int(row[column]) for row in pools) for column in (2, 3))
    longest = max((int(row[_maxwait(row)]) for row in pools), default=0)
    return [
        Reading("pool_clients", active, {"node": node, "state": "active"}),
        Reading("pool_clients", waiting, {"node": node, "state": "waiting"}),
        Reading("pool_wait_seconds", longest, {"node": node}),
    ]


def _maxwait(row: Sequence[str]) -> int:
    """maxwait and maxwait_us stand before pool_mode, the first word behind the numbers."""
    return next(i for i in range(2, len(row)) if not row[i].isdigit()) - 2


def _etcd(scope: str, node: Node) -> list[Reading]:
    seen = etcd.member_health(node, SECONDS)
    here = {"node": node.name, "scope": scope}
    return [
        Reading("etcd_has_leader", seen.has_leader, here),
        Reading("etcd_term", seen.term, here),
        Reading("etcd_storage_bytes", seen.bytes_used, here),
    ]


def _proxy(node: Node, password: str) -> list[Reading]:
    return of_routes(node.name, haproxy.routes(node, password, SECONDS))


def of_routes(node: str, routes: haproxy.Routes) -> list[Reading]:
    """Where a proxy leads. Pure."""
    found = []
    for listener, servers in routes.up.items():
        here = {"node": node, "listener": listener}
        found.append(Reading("proxy_routes", len(servers), here))
        found += [Reading("proxy_leads_to", 1, {**here, "server": name}) for name in servers]
    return found


def of_scopes(context: Context, readings: Sequence[Reading]) -> list[Reading]:
    """What only all members together tell."""
    mode = context.topology.postgres.synchronous_mode
    found = []
    for scope in scopes(context):
        found += of_scope(scope, readings, synchronous=mode)
    return found


def of_scope(scope: Scope, readings: Sequence[Reading], *, synchronous: bool) -> list[Reading]:
    """One scope, from what its members said. Pure."""
    here = {"scope": scope.name}
    writing = [
        node
        for (node, name), value in values(readings, "postgres_takes_writes").items()
        if name == scope.name and value
    ]
    attached = [
        one.value
        for one in readings
        if one.metric == SYNCHRONOUS
        and one.labels["scope"] == scope.name
        and one.labels["node"] in writing
    ]
    wants = synchronous and scope.follows is None and bool(scope.synchronous)
    return [
        Reading("postgres_primaries", len(writing), here),
        Reading("postgres_members", len(scope.members), here),
        Reading("postgres_is_dr", scope.follows is not None, here),
        Reading("postgres_synchronous_wanted", wants, here),
        Reading("postgres_synchronous_standbys", max(attached, default=0.0), here),
    ]
