"""SIGKILL of all members of a shard at once."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from mongo.faults.who import servers_of
from mongo.nodes import SetNodes


def shard_kill(context: Context, hurt: SetNodes, _seen: Seen, _random: Random) -> Fault:
    """The fault; whoever leads, dies too."""
    names = [node.name for node in hurt.nodes]
    return KillServers(context.target, f"all of {hurt.name}", servers_of(context, names))
