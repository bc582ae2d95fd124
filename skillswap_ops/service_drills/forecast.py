"""How long what users feel of a failover should take: from the engines' own forecasts.

The drills in which another way serves at once, or service is back only after the undo, have no
stamps to hold a forecast against.
"""

from dataclasses import replace

import numpy as np

import mongo.forecast
import postgres.forecast
from cluster.drill.montecarlo import Chance, Simulation
from cluster.topology import HaproxyChecks
from manifests.services.settings import Breaker
from mongo.live import LiveTimings
from postgres.dynamic import JsonObject

# A request that met the outage goes through gateway, service and store, each with its own pauses,
# on processors that have two elections to work on.
REQUEST = (0.0, 3.0)
OPENS = 0.5  # in how many runs a breaker has opened by then: it takes five failures in a row


# A request that the old primary still serves: its own time on a busy machine.
SERVED = (0.0, 2.5)


def double_kill(timings: LiveTimings) -> Simulation:
    """Both primaries die at once. A chain is acknowledged when its session is, and its payment
    intent follows by itself (docs/decisions/write-chain.md): so it waits for MongoDB alone, and
    where a circuit breaker has opened, for its next try.
    """
    return _through_services(mongo.forecast.death(timings))


def planned(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """A switchover of PostgreSQL under the services' pools: the old primary serves on at first."""
    of_postgres = postgres.forecast.simulate_switchover(live, checks)
    through = _through_services(of_postgres)
    first = Chance(seed=11).mostly(*SERVED)
    sustained = through.sustained
    return replace(
        through,
        first_success=first,
        sustained=None if sustained is None else np.maximum(sustained, first),
    )


def _through_services(engine: Simulation) -> Simulation:
    """What users feel of an engine's outage: a breaker may have opened, and requests take time."""
    open_for = Breaker().seconds
    chance = Chance(seed=7)
    waits = np.where(chance.between(0, 1) < OPENS, chance.phase(open_for), 0.0)
    more = waits + chance.mostly(*REQUEST)
    first, sustained = engine.first_success, engine.sustained
    return replace(
        engine,
        first_success=None if first is None else first + more,
        sustained=None if sustained is None else sustained + more,
        basis=f"{engine.basis}, a circuit breaker that stays open for {open_for:g}",
    )
