"""SIGKILL of the synchronous standby's whole node."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Fault, Seen
from cluster.errors import InconclusiveError
from cluster.faults.kill import KillServers
from postgres import patroni
from postgres.faults import who
from postgres.scopes import Scope


def node_of_standby(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault for the one that commits wait for now: in a soak the roles change.

    Raises InconclusiveError where there is none, UnreachableError where no Patroni answers.
    """
    leads = who.leader(scope, seen)
    standing = {
        member.name
        for member in patroni.view_of(scope.members).members
        if member.role == "sync_standby"
    }
    for victim in scope.members:
        if victim.name in standing and victim != leads:
            return KillServers(context.target, victim.name, who.servers_of(context, victim))
    raise InconclusiveError(f"{scope.name} has no synchronous standby now", "look at `status`")
