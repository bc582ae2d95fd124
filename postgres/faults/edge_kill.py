"""SIGKILL at the edge: a proxy, or the connection pool beside the leader."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from cluster.inventory import Kind
from postgres.faults import who
from postgres.scopes import Scope


def one_proxy(context: Context, _seen: Seen, random: Random) -> Fault:
    """Any HAProxy."""
    victim = random.choice(context.inventory.of(Kind.HAPROXY))
    return KillServers(context.target, victim.name, who.servers_of(context, victim))


def pool_of_leader(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """pgbouncer beside whoever leads. Raises InconclusiveError where nobody does."""
    name = f"{who.leader(scope, seen).name}-pgbouncer"
    return KillServers(context.target, name, (who.server_named(context, name),))
