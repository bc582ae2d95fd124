"""Drills of what servers run on: a machine that is drained, a zone that is lost."""

from skillswap_ops.machine_drills.machine_drain import MACHINE_DRAIN
from skillswap_ops.machine_drills.zone_loss import ZONE_LOSS

__all__ = ["DRILLS"]

DRILLS = (MACHINE_DRAIN, ZONE_LOSS)
