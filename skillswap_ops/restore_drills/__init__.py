"""Drills about restores of both stores: the proof beside the cluster, and one instant of both."""

from cluster.drill.judge import Check
from skillswap_ops.restore_drills.checks import PROVED, TO_ONE_INSTANT, proved, to_one_instant
from skillswap_ops.restore_drills.cross_store import CROSS_STORE
from skillswap_ops.restore_drills.proof import PROOF

__all__ = ["CHECKS", "DRILLS"]

DRILLS = (CROSS_STORE, PROOF)
CHECKS: dict[str, Check] = {PROVED: proved, TO_ONE_INSTANT: to_one_instant}
