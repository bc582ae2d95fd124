"""A planned change of leader through Patroni, and whether there is anybody to take over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Node
from cluster.leading import Gap, watching
from postgres import names, patroni
from postgres.dynamic import JsonObject
from postgres.observer import ScopeObserver
from postgres.patroni import MemberState
from postgres.scopes import Scope, primary_scope

SETTLE_SECONDS = 60.0
WHOLE_SECONDS = 180.0
# https://patroni.readthedocs.io/en/latest/rest_api.html (GET /cluster)
RECORDED = {"sync_standby", "quorum_standby"}
HINT = "`skillswap-ops status` shows what is not well; `provision` starts what is down"


@dataclass(frozen=True)
class SwitchedOver:
    """Who gave the lead to whom, and for how long nobody had it; `seconds` it took in all."""

    scope: str
    before: str
    after: str
    gaps: tuple[Gap, ...]
    seconds: float


def ask(context: Context, leader: Node) -> tuple[float, str]:
    """Ask Patroni to hand the lead on; when it was asked (monotonic seconds), and its words.

    Raises OpsError where it refuses or fails, UnreachableError where it knows nobody to choose.
    """
    password = names.password(context, names.REST_USER)
    _await_record(context, leader)
    at = context.clock.monotonic()
    return at, patroni.switchover(leader, password).strip()


def _await_record(context: Context, leader: Node) -> None:
    """Until Patroni has on record whom it may choose.

    It has PostgreSQL wait for a standby some seconds before it writes that down in etcd, and
    chooses among those that it has written down alone.
    """

    def there() -> bool:
        known = any(one.role in RECORDED for one in patroni.cluster(leader).members)
        if not known and patroni.config(leader).get("synchronous_mode"):
            raise UnreachableError(f"{leader.name}'s Patroni has no synchronous standby on record")
        return True

    clock = context.clock
    wait_for("whom Patroni may choose", there, seconds=SETTLE_SECONDS, every=0.5, clock=clock)


def cannot_switch_over(
    scope: Scope, states: Mapping[str, MemberState], live: JsonObject, leader: str
) -> str:
    """Why the lead of a scope cannot be handed over; "" if it can. Pure.

    With synchronous mode only the synchronous standby has all that was acknowledged.
    """
    leads = states.get(leader)
    if leads is None or not leads.primary:
        return f"{scope.name} has no primary that answers"
    if leads.paused:
        return f"{scope.name} is paused: Patroni changes nothing by itself (`patronictl resume`)"
    standbys = [
        row
        for row in leads.replication
        if row.state == "streaming" and row.name in {node.name for node in scope.members}
    ]
    if not standbys:
        return f"{scope.name}: no standby streams from {leader}: nobody could take over"
    if live.get("synchronous_mode") and not any(row.sync_state == "sync" for row in standbys):
        return (
            f"{scope.name}: no synchronous standby is attached to {leader}: whoever took over "
            "might lack what was acknowledged"
        )
    silent = [row.name for row in standbys if row.name not in states]
    if len(silent) == len(standbys):
        return f"{scope.name}: the Patroni of {', '.join(silent)} does not answer"
    return ""


def why_not(context: Context) -> str:
    """Why the leading scope cannot switch over now; "" if it can."""
    scope = primary_scope(context)
    try:
        leader = patroni.leader_of(scope)
        live = patroni.config(leader)
    except UnreachableError as error:
        return error.message
    return cannot_switch_over(scope, patroni.states(scope.members), live, leader.name)


def switch_over(context: Context) -> SwitchedOver:
    """Hand the lead of the scope that takes the writes to its standby; back when all is whole.

    Raises as `hand_over` does, and UnreachableError where it is not whole in time.
    """
    began = context.clock.monotonic()
    done = hand_over(context)
    await_whole(context, primary_scope(context))
    return replace(done, seconds=context.clock.monotonic() - began)


def hand_over(context: Context) -> SwitchedOver:
    """Hand the lead of the scope that takes the writes to its standby; back when that has it.

    Raises RefusedError where nobody could take over, OpsError where Patroni fails.
    """
    if reason := why_not(context):
        raise RefusedError(reason, HINT)
    scope = primary_scope(context)
    old = patroni.leader_of(scope)
    began = context.clock.monotonic()
    with watching(ScopeObserver(context, scope)) as seen:
        _, words = ask(context, old)
        new = wait_for(
            f"a new leader of {scope.name}",
            lambda: _other_primary(scope, old),
            seconds=SETTLE_SECONDS,
            clock=context.clock,
        )
    if new == old:
        raise OpsError(f"{old.name} leads again: {words}")
    seconds = context.clock.monotonic() - began
    return SwitchedOver(scope.name, old.name, new.name, seen.seen(), seconds)


def _other_primary(scope: Scope, old: Node) -> Node | None:
    leader = patroni.find_leader(scope)
    if leader is None or leader == old:
        return None
    return leader if patroni.state(leader).primary else None


def await_whole(context: Context, scope: Scope, seconds: float = WHOLE_SECONDS) -> None:
    """Until all members of a scope stream, and as many synchronously as should be.

    Raises UnreachableError that says what is missing.
    """

    def whole() -> bool:
        leader = patroni.leader_of(scope)
        live = patroni.config(leader)
        if reason := lacking(scope, patroni.states(scope.members), live, leader.name):
            # The leader looks for standbys once every loop_wait: make it look now.
            patroni.wake(leader, names.password(context, names.REST_USER))
            raise UnreachableError(reason, HINT)
        return True

    wait_for(scope.name, whole, seconds=seconds, every=0.5, clock=context.clock)


def lacking(scope: Scope, states: Mapping[str, MemberState], live: JsonObject, leader: str) -> str:
    """What a whole scope has and this one has not; "" for nothing. Pure."""
    silent = [node.name for node in scope.members if node.name not in states]
    if silent:
        return f"the Patroni of {', '.join(silent)} does not answer"
    for node in scope.members:
        state = states[node.name]
        if not state.running:
            return f"{node.name}'s PostgreSQL is {state.state}"
        if not state.primary and state.replication_state != "streaming":
            return f"{node.name} does not stream"
    leads = states[leader]
    synchronous = bool(live.get("synchronous_mode")) and len(scope.members) > 1
    if synchronous and not any(row.sync_state == "sync" for row in leads.replication):
        return f"no synchronous standby is attached to {leader}"
    return ""
