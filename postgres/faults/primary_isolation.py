"""The leader's node cut from etcd and from its standbys; clients and proxies still reach it."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.faults.isolate import IsolateServers
from postgres.faults import who
from postgres.scopes import Scope


def primary_isolation(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The cut around whoever leads now. Raises InconclusiveError where nobody does."""
    leader = who.leader(scope, seen)
    others = [node for node in scope.members if node != leader]
    return IsolateServers(
        context.target,
        f"{leader.name} from etcd and its standbys",
        f"{scope.name.replace('-', '_')}_primary",
        who.servers_of(context, leader),
        who.servers_of(context, *scope.etcd, *others),
    )
