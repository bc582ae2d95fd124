"""The drills of the PostgreSQL side and its edge: one file a drill."""

from postgres.drill_checks import CHECKS
from postgres.drills.archive_outage import ARCHIVE_OUTAGE
from postgres.drills.async_control import ASYNC
from postgres.drills.backup_corruption import BACKUP_CORRUPTION
from postgres.drills.common import healers
from postgres.drills.disk_full import DISK_FULL
from postgres.drills.dr_promote import DR_PROMOTE
from postgres.drills.etcd_loss import ETCD_LOSS
from postgres.drills.node_kill import NODE_KILL
from postgres.drills.patroni_freeze import PATRONI_FREEZE
from postgres.drills.pitr import PITR, PITR_FAILOVER
from postgres.drills.postmaster_kill import POSTMASTER_KILL
from postgres.drills.primary_isolated import PRIMARY_ISOLATED
from postgres.drills.proxy_loss import PROXY_LOSS
from postgres.drills.stale_pool import STALE_POOL
from postgres.drills.switchover import SWITCHOVER
from postgres.drills.sync_standby_loss import SYNC_STANDBY_LOSS

__all__ = ["CHECKS", "DRILLS", "healers"]

DRILLS = (
    NODE_KILL,
    POSTMASTER_KILL,
    SWITCHOVER,
    PATRONI_FREEZE,
    PRIMARY_ISOLATED,
    ETCD_LOSS,
    SYNC_STANDBY_LOSS,
    DISK_FULL,
    ARCHIVE_OUTAGE,
    BACKUP_CORRUPTION,
    PITR,
    PITR_FAILOVER,
    DR_PROMOTE,
    ASYNC,
    STALE_POOL,
    PROXY_LOSS,
)
