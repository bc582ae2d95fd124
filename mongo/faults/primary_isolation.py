"""A partition between a set's primary and its other members; clients and routers reach all."""

from collections.abc import Callable
from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.isolate import IsolateServers
from mongo.faults.who import servers_of, written_to_primary
from mongo.nodes import SetNodes


def primary_isolation(
    context: Context, hurt: SetNodes, member: Callable[[], str], seen: Seen, _random: Random
) -> Fault:
    """The fault for the leader. Raises InconclusiveError where that is not `member` any more."""
    primary = written_to_primary(hurt.name, seen, member())
    peers = [node.name for node in hurt.nodes if node.name != primary]
    return IsolateServers(
        context.target,
        what=f"{primary} from {', '.join(peers)}",
        partition=f"mongo_{hurt.name.replace('-', '_')}",
        servers=servers_of(context, [primary]),
        peers=servers_of(context, peers),
    )
