"""How long the drills that hurt both engines should take: from the engines' own forecasts."""

import numpy as np

import mongo.forecast
from cluster.drill.montecarlo import Chance, Simulation
from manifests.services.settings import Breaker
from mongo.live import LiveTimings

# A request that met the outage goes through gateway, service and store, each with its own pauses,
# on processors that have two elections to work on.
REQUEST = (0.0, 3.0)
OPENS = 0.5  # in how many runs a breaker has opened by then: it takes five failures in a row


def double_kill(timings: LiveTimings) -> Simulation:
    """Both primaries die at once. A chain is acknowledged when its session is, and its payment
    intent follows by itself (docs/decisions/write-chain.md): so it waits for MongoDB alone, and
    where a circuit breaker has opened, for its next try.
    """
    death, open_for = mongo.forecast.death(timings), Breaker().seconds
    chance = Chance(seed=7)
    waits = np.where(chance.between(0, 1) < OPENS, chance.phase(open_for), 0.0)
    more = waits + chance.mostly(*REQUEST)
    first, sustained = death.first_success, death.sustained
    return Simulation(
        detected=death.detected,
        elected=death.elected,
        first_success=None if first is None else first + more,
        sustained=None if sustained is None else sustained + more,
        basis=f"{death.basis}, a circuit breaker that stays open for {open_for:g}",
    )
