"""SIGSTOP of a set's primary, which a stream writes to past the routers."""

from collections.abc import Callable
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.freeze import FreezeServers
from mongo.faults.who import servers_of, written_to_primary


def primary_freeze(
    context: Context, group: str, member: Callable[[], str], seen: Seen, _random: Random
) -> Fault:
    """The fault for the leader. Raises InconclusiveError where that is not `member` any more."""
    primary = written_to_primary(group, seen, member())
    return FreezeServers(context.target, primary, servers_of(context, [primary]))
