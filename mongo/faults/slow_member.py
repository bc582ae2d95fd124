"""A set's primary, or one of its secondaries, is left a small share of its processor."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.throttle import ThrottleServers
from mongo.faults.who import primary_of, secondaries_of, servers_of
from mongo.nodes import SetNodes

SHARE = 0.1


def slow_secondary(context: Context, hurt: SetNodes, seen: Seen, random: Random) -> Fault:
    """The fault, by chance. Raises InconclusiveError where it cannot be said who follows."""
    return _slow(context, random.choice(secondaries_of(hurt, seen)))


def slow_primary(context: Context, hurt: SetNodes, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads now. Raises InconclusiveError where nobody does."""
    return _slow(context, primary_of(hurt.name, seen))


def _slow(context: Context, victim: str) -> Fault:
    return ThrottleServers(context.target, victim, servers_of(context, [victim]), SHARE)
