"""All engines' drills together; apart from `engines`, for a drill brings numpy with it."""

import mongo.drills
import postgres.drills
from cluster.drill.checkers.rounds import ROUNDS, every_round
from cluster.drill.contracts import DrillSpec
from cluster.drill.judge import Check
from skillswap_ops import machine_drills, restore_drills, service_drills
from skillswap_ops.rolling_drill import ROLLING_RESTART
from skillswap_ops.soak import SOAK


def all_drills() -> tuple[DrillSpec, ...]:
    """The catalogue."""
    return (
        *mongo.drills.DRILLS,
        *postgres.drills.DRILLS,
        *service_drills.DRILLS,
        *restore_drills.DRILLS,
        *machine_drills.DRILLS,
        ROLLING_RESTART,
        SOAK,
    )


def all_checks() -> dict[str, Check]:
    """The engines' own checkers, by the names that drills give them."""
    return {
        **mongo.drills.CHECKS,
        **postgres.drills.CHECKS,
        **service_drills.CHECKS,
        **restore_drills.CHECKS,
        ROUNDS: every_round,
    }
