"""SIGKILL of the leader's whole node: Patroni, the postmaster with all its children, pgbouncer."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from postgres.faults import who
from postgres.scopes import Scope


def node_of_leader(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `scope` now. Raises InconclusiveError where nobody does."""
    leader = who.leader(scope, seen)
    return KillServers(context.target, leader.name, who.servers_of(context, leader))
