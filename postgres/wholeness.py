"""Whether the PostgreSQL side is whole, on what settings its promises rest, and what runs."""

from collections.abc import Sequence

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from postgres import haproxy, names, patroni, regions, restore_state
from postgres.client import superuser, value
from postgres.dynamic import JsonObject
from postgres.etcd import member_health
from postgres.regions import Stage
from postgres.scopes import Scope, dr_scope, primary_scope, scopes

DURABILITY = ("fsync", "full_page_writes", "synchronous_commit", "wal_level", "data_checksums")
PATRONI_SETTINGS = (
    "ttl",
    "loop_wait",
    "retry_timeout",
    "primary_start_timeout",
    "synchronous_mode",
    "synchronous_mode_strict",
    "failsafe_mode",
)


def missing(context: Context) -> Sequence[str]:
    """What a whole cluster has and this one lacks; empty where it is whole."""
    scope = primary_scope(context)
    lacks = [*_half_done(context), *_scope_lacks(context, scope), *_edge_lacks(context, scope)]
    dr = dr_scope(context)
    if dr and not lacks:
        lacks += _dr_lacks(scope, dr)
    return lacks


def _half_done(context: Context) -> list[str]:
    """What a person has begun, and must finish before the cluster is what the topology says."""
    found, restoring = regions.load(context.layout), restore_state.load(context.layout)
    lacks = []
    if found.stage is not Stage.HOME:
        lacks.append(f"the DR region was promoted (now: {found.stage}): `dr failback` undoes that")
    if restoring is not None and restoring.phase.touched:
        lacks.append(f"a restore to {restoring.to} is half done")
    return lacks


def effective_settings(context: Context) -> dict[str, str]:
    """The settings that "no acknowledged write is lost" rests on, as they are in force."""
    leader = _primary(primary_scope(context))
    live = patroni.config(leader)
    with superuser(context, leader) as connection:
        settings = {
            name: str(value(connection, "SELECT current_setting(%s)", name)) for name in DURABILITY
        }
    return settings | {name: str(live.get(name)) for name in PATRONI_SETTINGS}


def _primary(scope: Scope) -> Node:
    """Who leads; without etcd nobody knows who holds the key, but the primary knows that it is."""
    try:
        return patroni.leader_of(scope)
    except UnreachableError:
        states = patroni.states(scope.members)
        named = {name for name, state in states.items() if state.primary}
        primaries = [node for node in scope.members if node.name in named]
        if len(primaries) != 1:
            raise
        return primaries[0]


def versions(context: Context) -> dict[str, str]:
    """What runs, by program."""
    scope = primary_scope(context)
    leader = patroni.leader_of(scope)
    with superuser(context, leader) as connection:
        postgres = str(value(connection, "SHOW server_version")).split()[0]
    found = {"PostgreSQL": postgres, "Patroni": patroni.version(leader)}
    if scope.etcd:  # Kubernetes keeps the leader itself
        found["etcd"] = member_health(scope.etcd[0]).version
    return found


def lacks_of_primary(
    scope: Scope, live: JsonObject, leader: str, states: dict[str, patroni.MemberState]
) -> list[str]:
    """What a primary scope lacks, from what its members say."""
    lacks = [f"{node.name} does not answer" for node in scope.members if node.name not in states]
    if leader not in states:
        return lacks
    state = states[leader]
    if not state.primary:
        return [*lacks, f"{leader} holds the leader key, and is {state.state} {state.role}"]
    for node in scope.members:
        row = state.standby(node.name)
        if node.name != leader and (row is None or row.state != "streaming"):
            lacks.append(f"{node.name} does not stream from {leader}")
    if scope.synchronous and not any(row.sync_state == "sync" for row in state.replication):
        lacks.append("no synchronous standby is attached")
    if state.paused:
        lacks.append(f"{scope.name} is paused")
    if not live.get("failsafe_mode"):
        lacks.append("failsafe_mode is off")
    lacks += [
        f"{name} is on timeline {other.timeline}, the leader on {state.timeline}"
        for name, other in states.items()
        if other.timeline not in {None, state.timeline}
    ]
    return lacks


def _scope_lacks(context: Context, scope: Scope) -> list[str]:
    view = patroni.view_of(scope.members)
    if view.leader is None:
        return [f"nobody leads {scope.name}"]
    leader = patroni.leader_of(scope)
    lacks = lacks_of_primary(
        scope, patroni.config(leader), leader.name, patroni.states(scope.members)
    )
    promotable = [member for member in view.members if member.role == "sync_standby"]
    if _has_standby(context, scope) and not lacks and not promotable:
        lacks.append("Patroni has not confirmed the synchronous standby yet")
    for node in (node for each in scopes(context) for node in each.etcd):
        try:
            if not member_health(node).has_leader:
                lacks.append(f"{node.name} has no quorum")
        except UnreachableError:
            lacks.append(f"{node.name} does not answer")
    return lacks


def _has_standby(context: Context, scope: Scope) -> bool:
    """Whether a synchronous standby is to be expected: a lone member, as in DR, has none."""
    return context.topology.postgres.synchronous_mode and len(scope.members) > 1


def _edge_lacks(context: Context, scope: Scope) -> list[str]:
    password = names.password(context, names.STATS_USER)
    leader = patroni.find_leader(scope)
    lacks = []
    for node in context.inventory.of(Kind.HAPROXY):
        try:
            routes = haproxy.routes(node, password)
        except OpsError as error:
            lacks.append(error.message)
            continue
        lacks += [
            f"{node.name}'s {listener} port does not lead to {leader.name}"
            for listener in ("pooled", "direct")
            if leader and routes.to(listener) != leader.name
        ]
    return lacks


def _dr_lacks(scope: Scope, dr: Scope) -> list[str]:
    follower = patroni.find_leader(dr)
    if follower is None:
        return [f"nobody leads {dr.name}"]
    row = patroni.state(patroni.leader_of(scope)).standby(follower.name)
    streams = row is not None and row.state == "streaming"
    return [] if streams else [f"{follower.name} does not stream"]
