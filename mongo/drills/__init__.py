"""MongoDB's drills: one file a drill; what they share is in `common`."""

from mongo.drill_checks import CHECKS
from mongo.drills.backup_corruption import BACKUP_CORRUPTION
from mongo.drills.common import healers
from mongo.drills.config_loss import CONFIG_LOSS
from mongo.drills.majority_loss import MAJORITY_LOSS
from mongo.drills.member_wipe import MEMBER_WIPE
from mongo.drills.pitr import PITR, PITR_FAILOVER
from mongo.drills.primary_freeze import PRIMARY_FREEZE
from mongo.drills.primary_isolated import PRIMARY_ISOLATED
from mongo.drills.primary_kill import PRIMARY_KILL
from mongo.drills.router_loss import ROUTER_LOSS
from mongo.drills.secondary_loss import SECONDARY_LOSS
from mongo.drills.shard_offline import SHARD_OFFLINE
from mongo.drills.slow_member import SLOW_MEMBER
from mongo.drills.slow_primary import SLOW_PRIMARY
from mongo.drills.stepdown import STEPDOWN
from mongo.drills.w1_isolated import W1_ISOLATED

__all__ = ["CHECKS", "DRILLS", "healers"]

DRILLS = (
    PRIMARY_KILL,
    PRIMARY_FREEZE,
    STEPDOWN,
    PRIMARY_ISOLATED,
    W1_ISOLATED,
    SECONDARY_LOSS,
    MEMBER_WIPE,
    MAJORITY_LOSS,
    SHARD_OFFLINE,
    CONFIG_LOSS,
    ROUTER_LOSS,
    SLOW_MEMBER,
    SLOW_PRIMARY,
    PITR,
    PITR_FAILOVER,
    BACKUP_CORRUPTION,
)
