"""Takes a member that the topology has no more out of its Patroni scope.

`context` is of the cluster as it runs (`cluster.former.joined`): the member is in its inventory,
as an asynchronous one. Each function is idempotent.
"""

from dataclasses import replace

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.former import patiently
from cluster.inventory import Kind, Node
from cluster.server import Server
from postgres import haproxy, names, patroni, remake, rescue, servers
from postgres.client import superuser, value
from postgres.parting import cannot_leave, still_waited_for, without
from postgres.scopes import Scope
from postgres.switchover import HINT, SwitchedOver, ask, hand_over

SPARED_SECONDS = 60.0
FORGOTTEN_SECONDS = 60.0
PROXY_SECONDS = 30.0
SLOTS_TTL = "member_slots_ttl"
HAS_SLOT = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s"


def await_allowed(context: Context, scope: Scope, node: Node) -> None:
    """Until a member may leave, for as long as others may need to settle after a run that was
    killed. Raises RefusedError that says why it may not.
    """

    def allowed() -> bool:
        leader = patroni.leader_of(scope)
        states, live = patroni.states(scope.members), patroni.config(leader)
        if reason := cannot_leave(scope, states, live, leader.name, node.name):
            raise UnreachableError(reason)
        return True

    patiently(allowed, context.clock, HINT)


def spare(context: Context, scope: Scope, node: Node) -> SwitchedOver | None:
    """Let a member neither lead nor be waited for any more; how it gave up its lead, where it led.

    Tagged so, the primary's Patroni chooses another synchronous standby before it goes: no commit
    is unprotected for a moment. Raises UnreachableError where it is not done in time.
    """
    handed = _give_up_lead(context, scope, node)
    server = servers.patroni(context, without(scope, node.name), node)
    if context.target.state(server).running:
        context.target.reload(server)

    def spared() -> bool:
        leader = patroni.leader_of(scope)
        states, live = patroni.states(scope.members), patroni.config(leader)
        if reason := still_waited_for(scope, states, live, leader.name, node.name):
            # The leader looks for standbys once every loop_wait: make it look now.
            patroni.wake(leader, names.password(context, names.REST_USER))
            raise UnreachableError(reason, HINT)
        return True

    what = f"{scope.name} without {node.name}"
    wait_for(what, spared, seconds=SPARED_SECONDS, every=0.5, clock=context.clock)
    return handed


def _give_up_lead(context: Context, scope: Scope, node: Node) -> SwitchedOver | None:
    """To another member, by the way that its scope has: nobody writes to one that follows."""
    if patroni.find_leader(scope) != node:
        return None
    if scope.follows is None:
        return hand_over(context)
    ask(context, node)
    wait_for(
        f"a new leader of {scope.name}",
        lambda: patroni.find_leader(scope) not in {None, node},
        seconds=SPARED_SECONDS,
        clock=context.clock,
    )
    return None


def tell_proxies(wanted: Context, name: str) -> None:
    """Every proxy leads to the members of the topology alone; raises UnreachableError."""
    for proxy in wanted.inventory.of(Kind.HAPROXY):
        remake.start(wanted, servers.haproxy(wanted, proxy))

    def told() -> bool:
        password = names.password(wanted, names.STATS_USER)
        for proxy in wanted.inventory.of(Kind.HAPROXY):
            up = haproxy.routes(proxy, password).up
            if any(name in found for found in up.values()):
                raise UnreachableError(f"{proxy.name} still leads to {name}")
        return True

    wait_for("the proxies", told, seconds=PROXY_SECONDS, every=0.2, clock=wanted.clock)


def stop(context: Context, scope: Scope, node: Node) -> tuple[Server, ...]:
    """Stop a member's Patroni, its PostgreSQL and its pool; the servers that are down then."""
    remake.stop_members(context, replace(scope, members=(node,)), pools=True)
    return (
        servers.pgbouncer(context, scope, node),
        servers.patroni(context, scope, node),
    )


def forget(context: Context, scope: Scope, node: Node) -> None:
    """Remove what the scope remembers of a member that is stopped: its key, and its slot.

    The key would go with its lease, after `ttl`. The slot Patroni keeps for another half an hour,
    and recreates where somebody drops it: the primary would keep WAL for nobody.
    """
    rest = without(scope, node.name)
    rescue.administer(context, scope).delete(f"{rescue.prefix(scope)}members/{node.name}")
    wait_for(
        f"{scope.name}'s members",
        lambda: patroni.view_of(rest.members).named(node.name) is None,
        seconds=FORGOTTEN_SECONDS,
        every=0.2,
        clock=context.clock,
    )
    _drop_slot(context, rest, node.name)


def _drop_slot(context: Context, rest: Scope, name: str) -> None:
    """Have Patroni keep the slots of absent members no longer, until that of this one is gone.

    https://patroni.readthedocs.io/en/latest/dynamic_configuration.html (member_slots_ttl). All
    others are there: nobody else loses one. Killed in its midst, the next run, or `provision`, puts
    the setting back.
    """
    password = names.password(context, names.REST_USER)
    slot = name.replace("-", "_")  # patroni.dcs.slot_name_from_member_name

    def gone() -> bool:
        left = [node.name for node in rest.members if _has_slot(context, node, slot)]
        if left:
            patroni.change_config(patroni.leader_of(rest), password, {SLOTS_TTL: 0})
            raise UnreachableError(f"{', '.join(left)} still has the slot {slot}")
        return True

    what = f"the end of the slot {slot}"
    wait_for(what, gone, seconds=FORGOTTEN_SECONDS, every=0.5, clock=context.clock)
    leader = patroni.leader_of(rest)
    if SLOTS_TTL in patroni.config(leader):
        patroni.change_config(leader, password, {SLOTS_TTL: None})


def _has_slot(context: Context, node: Node, slot: str) -> bool:
    with superuser(context, node) as connection:
        return bool(value(connection, HAS_SLOT, slot))
