"""Drills that break the cluster under its services, and measure what users feel: one file each.

They need both engines and the services, so they live above all of them.
"""

from cluster.drill.judge import Check
from skillswap_ops.service_drills.chain_double_kill import CHAIN_DOUBLE_KILL
from skillswap_ops.service_drills.checks import BOTH_CHANGED, IN_FLIGHT, both_changed, in_flight
from skillswap_ops.service_drills.instance_kill import INSTANCE_KILL
from skillswap_ops.service_drills.proxy_loss import PROXY_LOSS
from skillswap_ops.service_drills.redis_loss import REDIS_LOSS
from skillswap_ops.service_drills.shard_offline import SHARD_OFFLINE
from skillswap_ops.service_drills.stale_pool import STALE_POOL
from skillswap_ops.traffic.chain_checks import CHAINS, chains

__all__ = ["CHECKS", "DRILLS"]

DRILLS = (
    CHAIN_DOUBLE_KILL,
    INSTANCE_KILL,
    REDIS_LOSS,
    SHARD_OFFLINE,
    STALE_POOL,
    PROXY_LOSS,
)
CHECKS: dict[str, Check] = {
    CHAINS: chains,
    BOTH_CHANGED: both_changed,
    IN_FLIGHT: in_flight,
}
