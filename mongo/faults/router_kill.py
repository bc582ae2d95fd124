"""SIGKILL of one router, by chance."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from mongo import nodes
from mongo.faults.who import servers_of


def router_kill(context: Context, _seen: Seen, random: Random) -> Fault:
    """The fault."""
    victim = random.choice([node.name for node in nodes.routers(context)])
    return KillServers(context.target, victim, servers_of(context, [victim]))
