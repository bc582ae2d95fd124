"""zone-loss."""

from random import Random

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Fault, Seen
from cluster.faults.kill import KillServers
from cluster.faults.machines import LoseZone
from cluster.server import Server
from cluster.target import CanKill, CanLoseMachines
from postgres.faults import who
from postgres.scopes import primary_scope
from skillswap_ops.engines import all_servers
from skillswap_ops.machine_drills.common import drill, no_spare


def zone_of_leader(context: Context, seen: Seen, _random: Random) -> Fault:
    """The zone of whoever leads the payments, with all that runs in it."""
    leader = who.leader(primary_scope(context), seen)
    if isinstance(context.target, CanLoseMachines):
        return LoseZone(context.target, leader.zone)
    servers = servers_in(all_servers(context), leader.region, leader.zone)
    return KillServers(context.target, f"all of zone {leader.zone}", servers)


def servers_in(servers: tuple[Server, ...], region: str, zone: str) -> tuple[Server, ...]:
    """Those of a zone."""
    return tuple(s for s in servers if (s.node.region, s.node.zone) == (region, zone))


def _zone_loss(context: Context) -> Drill:
    return drill(context, ZONE_LOSS, zone_of_leader)


ZONE_LOSS = DrillSpec(
    name="zone-loss",
    hypothesis="When the zone of the payments' primary is lost, with a member of every shard, of "
    "the config servers and of etcd, a router and a proxy, the other zones go on: service is back "
    "within the RTO, and nothing is lost.",
    fault="everything in the zone of the payments' primary at once",
    must_hold="majorities elect in the other zones, the standby leads, nothing is lost",
    seconds=120,
    build=_zone_loss,
    needs=(CanKill,),
    skip=no_spare,
    tags=frozenset({"postgres", "failover"}),
)
