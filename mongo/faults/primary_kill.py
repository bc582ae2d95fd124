"""SIGKILL of a set's primary: the choice of the victim."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from mongo.faults.who import primary_of, servers_of


def primary_kill(context: Context, group: str, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `group` now. Raises InconclusiveError where nobody does."""
    primary = primary_of(group, seen)
    return KillServers(context.target, primary, servers_of(context, [primary]))
