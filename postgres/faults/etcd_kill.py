"""SIGKILL of etcd members: first one, which its peers outvote, then all that are left."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.kill import KillServers
from postgres.faults import who
from postgres.scopes import Scope


def one_etcd(context: Context, scope: Scope, _seen: Seen, random: Random) -> Fault:
    """Any member: whether it leads its peers is part of the chance."""
    victim = random.choice(scope.etcd)
    return KillServers(context.target, victim.name, who.servers_of(context, victim))


def all_etcd(context: Context, scope: Scope, _seen: Seen, _random: Random) -> Fault:
    """Every member that still runs."""
    return KillServers(context.target, "all of etcd", who.servers_of(context, *scope.etcd))
