"""Watches who leads a scope: PostgreSQL itself, Patroni, and the proxies, all asked at once."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psycopg

from cluster.context import Context
from cluster.drill.contracts import Observation
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from postgres import haproxy, names, patroni, wire
from postgres.client import secured
from postgres.scopes import Scope

SECONDS = 1.0
TIMELINE_DIGITS = 8  # a WAL file's name begins with its timeline, in hexadecimal

QUESTION = """
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_walfile_name(pg_current_wal_lsn()) END,
  current_setting('synchronous_standby_names'),
  (SELECT coalesce(string_agg(application_name, ','), '') FROM pg_stat_replication
   WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))"""


@dataclass(frozen=True)
class Claim:
    """What a PostgreSQL says of itself; `wal_file` is empty on a standby."""

    wal_file: str
    wants_standby: bool
    synchronous: str

    @property
    def primary(self) -> bool:
        """Whether it takes writes."""
        return bool(self.wal_file)

    @property
    def timeline(self) -> int:
        """Its timeline, where it is primary."""
        return int(self.wal_file[:TIMELINE_DIGITS] or "0", 16)

    @property
    def acknowledges(self) -> bool:
        """Whether a commit can be acknowledged: none is while the wanted standby is away."""
        return self.primary and (bool(self.synchronous) or not self.wants_standby)


def observe(claims: Mapping[str, Claim], *, known: bool, routed: bool | None) -> Observation:
    """What the members' claims come to.

    `known`: a Patroni sees that the leader is lost. `routed`: a proxy has somewhere to
    send writes (None: no proxy answers).
    """
    primaries = {name: claim for name, claim in claims.items() if claim.primary}
    newest = max((claim.timeline for claim in primaries.values()), default=0)
    # An old primary whose standby was promoted waits for it for ever: it acknowledges nothing.
    void = {
        name
        for name, claim in primaries.items()
        if claim.timeline < newest and not claim.acknowledges
    }
    leaders = tuple(sorted(primaries.keys() - void))
    leader = primaries[leaders[0]] if len(leaders) == 1 else None
    return Observation(
        leaders=leaders,
        epoch=leader.timeline if leader else None,
        detected_down=known or routed is False,
        protected=bool(leader.synchronous) if leader else None,
        stale=tuple(sorted(void)),
        detail=", ".join(f"{name} {_word(claim)}" for name, claim in sorted(claims.items())),
    )


class ScopeObserver:
    """Asks every member of a scope, and every proxy, with a deadline of a second."""

    def __init__(self, context: Context, scope: Scope) -> None:
        self._context, self._scope = context, scope
        self._proxies = context.inventory.of(Kind.HAPROXY)
        self._wires: dict[str, wire.Wire] = {}
        self._pool = ThreadPoolExecutor(
            2 * len(scope.members) + len(self._proxies), thread_name_prefix="observer"
        )

    @property
    def group(self) -> str:
        """The scope's name."""
        return self._scope.name

    def sample(self) -> Observation:
        """Ask all at the same time."""
        members = self._scope.members
        claims = [self._pool.submit(self._claim, node) for node in members]
        known = [self._pool.submit(_knows, node) for node in members]
        password = names.password(self._context, names.STATS_USER)
        routed = [self._pool.submit(partial(_routed, node, password)) for node in self._proxies]
        answers = {
            node.name: claim
            for node, future in zip(members, claims, strict=True)
            if (claim := future.result())
        }
        routes = [answer for future in routed if (answer := future.result()) is not None]
        return observe(
            answers,
            known=any(future.result() for future in known),
            routed=any(routes) if routes else None,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for held in self._wires.values():
            held.close()
        self._wires.clear()

    def _claim(self, node: Node) -> Claim | None:
        held = self._wires.pop(node.name, None)
        try:
            held = held or self._connect(node)
        except psycopg.Error:
            return None
        reply = held.run(QUESTION, SECONDS)
        if not reply.rows:
            held.close()
            return None
        self._wires[node.name] = held
        wal_file, wanted, synchronous = reply.rows[0]
        return Claim(wal_file, bool(wanted), synchronous)

    def _connect(self, node: Node) -> wire.Wire:
        return wire.connect(
            {
                "host": node.address,
                "port": names.POSTGRES_PORT,
                "user": names.MONITOR,
                "password": names.password(self._context, names.MONITOR),
                "dbname": "postgres",
                "application_name": "skillswap-ops observer",
                **secured(node.trust),
            },
            SECONDS,
        )


def _knows(node: Node) -> bool:
    """Whether its Patroni sees that nobody leads, or that its own primary does not run."""
    try:
        state = patroni.state(node, SECONDS)
    except UnreachableError:
        return False
    return state.unlocked or (state.role in patroni.LEADER_ROLES and not state.running)


def _routed(node: Node, password: str) -> bool | None:
    try:
        return bool(haproxy.routes(node, password, SECONDS).up.get("pooled"))
    except UnreachableError:
        return None


def _word(claim: Claim) -> str:
    if not claim.primary:
        return "standby"
    return f"primary of timeline {claim.timeline}, synchronous: {claim.synchronous or 'nobody'}"
