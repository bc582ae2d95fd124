"""A member's data made anew from whom it follows."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from postgres import names, patroni, remake, servers
from postgres.dynamic import JsonObject
from postgres.patroni import MemberState
from postgres.scopes import Scope, scopes
from postgres.switchover import HINT, await_whole

BEGIN_SECONDS = 60.0
COPY_SECONDS = 24 * 3600.0  # as long as the data is large


@dataclass(frozen=True)
class Reinitialised:
    """A member with a new copy of `source`'s data, and the seconds until all was whole."""

    node: str
    source: str
    seconds: float


def scope_of(context: Context, name: str) -> tuple[Scope, Node]:
    """A member and its scope. Raises InvalidInputError for any other node."""
    node = context.inventory.named(name)
    if node.kind is not Kind.POSTGRES:
        raise InvalidInputError(f"{name} is a {node.kind.value}, no member of a Patroni scope")
    for scope in scopes(context):
        if node in scope.members:
            return scope, node
    raise RefusedError(
        f"{name} is fenced since the DR region leads", "`dr failback` makes its region anew"
    )


def cannot_reinit(
    scope: Scope, states: Mapping[str, MemberState], live: JsonObject, leader: str, node: str
) -> str:
    """Why a member's data must not be removed now; "" if it may. Pure."""
    if node == leader:
        return f"{node} leads {scope.name}: it is what the others are copied from"
    leads = states.get(leader)
    if leads is None or not leads.running:
        return f"{scope.name} has no leader that answers to copy from"
    if node not in states:
        return f"the Patroni of {node} does not answer: it could not be told"
    others = [row for row in leads.replication if row.name != node and row.state == "streaming"]
    members = {member.name for member in scope.members}
    row = leads.standby(node)
    waits = row is not None and row.sync_state == "sync"
    if waits and live.get("synchronous_mode_strict") and not any(r.name in members for r in others):
        return (
            f"{node} is the only synchronous standby, and without one {leader} takes no writes "
            "(postgres.synchronous_mode_strict)"
        )
    return ""


def unprotects(states: Mapping[str, MemberState], leader: str, node: str) -> bool:
    """Whether commits wait for this member now, so that they are unprotected without it. Pure."""
    leads = states.get(leader)
    row = leads.standby(node) if leads else None
    return row is not None and row.sync_state == "sync"


def warning(context: Context, name: str) -> str:
    """What is at risk while the member copies; "" for nothing."""
    scope, node = scope_of(context, name)
    if _is_founded(scope, node):
        return f"All of {scope.name} copies {scope.follows} again."
    leader = patroni.leader_of(scope)
    if unprotects(patroni.states(scope.members), leader.name, node.name):
        return f"Until it has copied, no synchronous standby protects what {leader.name} takes."
    return ""


def reinit(context: Context, name: str) -> Reinitialised:
    """Remove a member's data, and have it copied again; back when the scope is whole.

    Raises as `begin` does, and UnreachableError where the scope is not whole in time.
    """
    began = context.clock.monotonic()
    source = begin(context, name)
    scope, node = scope_of(context, name)
    await_whole(context, scope, COPY_SECONDS)
    return Reinitialised(node.name, source, context.clock.monotonic() - began)


def begin(context: Context, name: str) -> str:
    """Remove a member's data, and begin to copy it again; the name of whom it copies.

    Patroni does it. The leader of a scope that follows another region is no standby to its own
    Patroni: its scope is forgotten, and founded anew. Raises RefusedError where the data must not
    be removed, UnreachableError where nobody leads.
    """
    scope, node = scope_of(context, name)
    if scope.follows is not None and _is_founded(scope, node):
        _found_again(context, scope)
        return scope.follows
    leader = patroni.leader_of(scope)
    states, live = patroni.states(scope.members), patroni.config(leader)
    if reason := cannot_reinit(scope, states, live, leader.name, node.name):
        raise RefusedError(reason, HINT)
    before = states[node.name].started
    patroni.reinitialise(node, names.password(context, names.REST_USER))
    wait_for(
        f"the end of {node.name}'s old PostgreSQL",
        lambda: _has_begun(node, before),
        seconds=BEGIN_SECONDS,
        clock=context.clock,
    )
    return leader.name


def _is_founded(scope: Scope, node: Node) -> bool:
    """Whether a member copies another region and not a leader of its own scope."""
    return scope.follows is not None and patroni.find_leader(scope) in {None, node}


def _found_again(context: Context, scope: Scope) -> None:
    remake.stop_members(context, scope, pools=True)
    remake.start_etcd(context, scope)
    remake.forget_leader(context, scope, anew=True)
    for node in scope.members:
        remake.empty(context, node)
    for server in servers.servers(context):
        if server.node in scope.members:
            context.target.start(server)


def _has_begun(node: Node, before: str) -> bool:
    """Whether its postmaster is gone, or is another one already."""
    try:
        state = patroni.state(node)
    except UnreachableError:
        return False
    return not state.running or state.started != before
