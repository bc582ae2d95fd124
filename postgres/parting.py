"""Whether a scope can go on for good without a member that the topology has no more. Pure."""

from collections.abc import Mapping

from cluster.topology import PostgresRole
from postgres.dynamic import JsonObject
from postgres.patroni import MemberState
from postgres.scopes import Scope
from postgres.switchover import cannot_switch_over, lacking


def cannot_leave(
    scope: Scope, states: Mapping[str, MemberState], live: JsonObject, leader: str, name: str
) -> str:
    """Why a member of `scope` cannot leave now; "" if it can.

    The others must be whole, for it goes for good. With synchronous mode one of them must be able
    to be the synchronous standby. One that leads must be able to hand over first.
    """
    rest, leads = without(scope, name), states.get(leader)
    if leads is None or not leads.running:
        return f"{scope.name} has no leader that answers"
    if leads.paused:
        return f"{scope.name} is paused: Patroni changes nothing by itself (`patronictl resume`)"
    if reason := lacking(rest, states, live, leader):
        return f"{scope.name} cannot go on without {name}: {reason}"
    able = [node for node in rest.members if node.role is not PostgresRole.ASYNCHRONOUS]
    if live.get("synchronous_mode") and len(able) < 2:
        return (
            f"{scope.name} cannot go on without {name}: of a primary and a synchronous standby "
            "only one would be left"
        )
    if name == leader and leads.primary:
        return cannot_switch_over(scope, states, live, leader)
    return ""


def still_waited_for(
    scope: Scope, states: Mapping[str, MemberState], live: JsonObject, leader: str, name: str
) -> str:
    """Why a member must not be stopped yet, as commits wait for it alone; "" if it may be."""
    if leader == name:
        return f"{name} leads {scope.name}"
    leads = states.get(leader)
    if leads is None:
        return f"{leader} does not answer"
    row = leads.standby(name)
    if row is not None and row.sync_state == "sync":
        return f"commits on {leader} still wait for {name}"
    return lacking(without(scope, name), states, live, leader)


def without(scope: Scope, name: str) -> Scope:
    """The scope without this member."""
    members = tuple(node for node in scope.members if node.name != name)
    return Scope(scope.name, members, scope.etcd, scope.follows, scope.away)
