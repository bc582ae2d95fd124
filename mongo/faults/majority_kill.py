"""SIGKILL of so many of a set's members that the rest is no majority; which, by chance."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from mongo.faults.who import primary_of, servers_of
from mongo.nodes import SetNodes


def majority_kill(context: Context, hurt: SetNodes, seen: Seen, random: Random) -> Fault:
    """The fault. Raises InconclusiveError where the set does not work to begin with.

    The primary may be among the victims or be the one that is left: both are the same loss.
    """
    primary_of(hurt.name, seen)
    names = [node.name for node in hurt.nodes]
    majority = len(names) // 2 + 1
    chosen = random.sample(names, len(names) - majority + 1)
    victims = [name for name in names if name in chosen]
    return KillServers(context.target, " and ".join(victims), servers_of(context, victims))
