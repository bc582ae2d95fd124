"""Which alerts a drill's fault must fire, where the cluster's monitoring is up."""

from collections.abc import Mapping

from cluster.context import Context
from cluster.drill.contracts import Alerts
from manifests.monitoring import local, rules

# From when a rule's condition is so until it is seen: a look at all nodes (some of them dead) and
# one at the rules every five seconds each, and the rule's own time.
LATE_SECONDS = 2 * local.EVERY_SECONDS + 10.0

MEMBER, ROUTER, SERVER = "MongoMemberDown", "MongoRouterDown", "ServerDown"
UNPROTECTED = "PostgresNoSyncStandby"
# Not there: drills whose fault is over at once, or hurts nobody whom the monitoring asks.
BY_DRILL: Mapping[str, tuple[str, ...]] = {
    "mongo-primary-kill": (MEMBER,),
    "mongo-primary-freeze": (MEMBER,),
    "mongo-secondary-loss": (MEMBER,),
    "mongo-member-wipe": (MEMBER,),
    "mongo-config-loss": ("MongoConfigServersLost",),
    "mongo-majority-loss": ("MongoShardOffline",),
    "mongo-shard-offline": ("MongoShardOffline",),
    "mongo-router-loss": (ROUTER,),
    "pg-node-kill": (UNPROTECTED,),
    "pg-sync-standby-loss": (UNPROTECTED,),
    "pg-etcd-loss": ("EtcdNoQuorum",),
    "pg-archive-outage": ("PostgresArchiveFailing",),
    "edge-proxy-loss": (SERVER,),
    "zone-loss": (MEMBER, SERVER),
    "chain-double-kill": (MEMBER, UNPROTECTED),
    "services-shard-offline": ("MongoShardOffline",),
    "redis-loss": (SERVER,),
}


def alerts_of(context: Context, drill: str) -> Alerts | None:
    """What to watch beside a drill; None where monitoring is not up, or nothing should fire."""
    names = BY_DRILL.get(drill, ())
    if not names or context.target.name != "local" or not local.is_up(context):
        return None
    seconds = {one.name: one.seconds + LATE_SECONDS for one in rules.alerts(context.topology)}
    return Alerts(lambda: _firing(context), {name: seconds[name] for name in names})


def _firing(context: Context) -> frozenset[str]:
    return frozenset(one.name for one in local.alerts(context) if one.state == "firing")
