"""The disk of one of a set's secondaries is replaced by an empty one; which, by chance."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.wipe import WipeServer
from mongo.faults.who import secondaries_of, servers_of
from mongo.nodes import SetNodes


def secondary_wipe(context: Context, hurt: SetNodes, seen: Seen, random: Random) -> Fault:
    """The fault. Raises InconclusiveError where it cannot be said who follows."""
    victim = random.choice(secondaries_of(hurt, seen))
    [server] = servers_of(context, [victim])
    return WipeServer(context.target, server)
