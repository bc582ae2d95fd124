"""SIGKILL of one of a set's secondaries, by chance."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from mongo.faults.who import secondaries_of, servers_of
from mongo.nodes import SetNodes


def secondary_kill(context: Context, hurt: SetNodes, seen: Seen, random: Random) -> Fault:
    """The fault. Raises InconclusiveError where it cannot be said who follows."""
    victim = random.choice(secondaries_of(hurt, seen))
    return KillServers(context.target, victim, servers_of(context, [victim]))
