"""SIGKILL of the synchronous standby's whole node."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.errors import InconclusiveError
from cluster.faults.kill import KillServers
from postgres.faults import who
from postgres.scopes import Scope


def node_of_standby(
    context: Context, scope: Scope, standby: str, seen: Seen, _random: Random
) -> Fault:
    """The fault for `standby`. Raises InconclusiveError where it leads by now, or nobody does."""
    if who.leader(scope, seen).name == standby:
        raise InconclusiveError(f"{standby} has become the leader: it is no standby any more")
    victim = next(node for node in scope.members if node.name == standby)
    return KillServers(context.target, standby, who.servers_of(context, victim))
