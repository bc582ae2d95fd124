"""machine-drain."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Fault, Seen
from cluster.faults.machines import DrainMachine
from cluster.target import CanLoseMachines
from postgres.faults import who
from postgres.scopes import primary_scope
from skillswap_ops.machine_drills.common import drill, no_spare


def machine_of_leader(context: Context, seen: Seen, _random: Random) -> Fault:
    """The machine of whoever leads the payments: the one whose update is feared."""
    leader = who.leader(primary_scope(context), seen)
    target = context.target
    if not isinstance(target, CanLoseMachines):
        raise TypeError("the drill needs CanLoseMachines")
    return DrainMachine(target, target.machine_of(leader))


def _machine_drain(context: Context) -> Drill:
    return drill(context, MACHINE_DRAIN, machine_of_leader)


MACHINE_DRAIN = DrillSpec(
    name="machine-drain",
    hypothesis="When the machine of the payments' primary is drained for an update, its pods leave "
    "as fast as quorums allow: another member leads within the RTO, and nothing is lost.",
    fault="cordon the machine of the payments' primary, and evict every pod from it",
    must_hold="disruption budgets are kept, service is back within the RTO, nothing is lost",
    seconds=120,
    build=_machine_drain,
    needs=(CanLoseMachines,),
    skip=no_spare,
    tags=frozenset({"postgres", "failover"}),
)
