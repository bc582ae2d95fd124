"""How long what users feel should take: from the engines' own forecasts, and the services' ways."""

from dataclasses import replace

import numpy as np

import mongo.forecast
import postgres.forecast
from cluster.drill.montecarlo import LOOK, Chance, Samples, Simulation
from cluster.topology import HaproxyChecks
from manifests.services.settings import Breaker
from mongo.live import LiveTimings
from postgres.dynamic import JsonObject

# A request that met the outage goes through gateway, service and store, each with its own pauses,
# on processors that have two elections to work on.
REQUEST = (0.0, 3.0)
OPENS = 0.5  # in how many runs a breaker has opened by then: it takes five failures in a row


# Where another instance or proxy serves: a request's own time, which a kill draws out a little.
SENT_ON = (0.0, 2.5)
# A member that was killed with all others: its journal is replayed before it says a word.
RESTART = (0.0, 3.0)
MEMBERS = 3


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
    first = Chance(seed=11).mostly(*SENT_ON)
    sustained = through.sustained
    return replace(
        through,
        first_success=first,
        sustained=None if sustained is None else np.maximum(sustained, first),
    )


def shard_back(timings: LiveTimings) -> Simulation:
    """A whole shard, from its undo on: its members start, and then know of no primary.

    The first to stand waits for its election timeout; all of them wait at the same time.
    """
    chance = Chance(seed=13)
    each = [
        chance.mostly(*RESTART) + timings.election_timeout * (1 + chance.between(0, timings.offset))
        for _ in range(MEMBERS)
    ]
    stands: Samples = np.min(each, axis=0)
    first = stands + chance.mostly(*mongo.forecast.VOTE) + chance.between(*mongo.forecast.FOLLOWED)
    served = Simulation(
        first_success=first + chance.between(*LOOK),
        sustained=first + chance.stuck(mongo.forecast.WRITE_SECONDS),
        basis=f"from the undo: up to {RESTART[1]:g} for the restart, electionTimeoutMillis "
        f"{timings.election_timeout * 1000:g} and up to {timings.offset:.0%} more by chance",
    )
    return _through_services(served)


def instance_lost() -> Simulation:
    """An instance dies, and another: the proxies send on what a dead one refuses."""
    return _goes_on("another instance takes at once what the dead one refuses")


def proxy_lost() -> Simulation:
    """A proxy dies, and another: clients and services connect to the one that is left."""
    return _goes_on("whoever is refused by the dead proxy connects to the other at once")


def redis_lost() -> Simulation:
    """Redis dies: a dead one refuses at once, and chat reads MongoDB instead."""
    return _goes_on("a dead Redis refuses at once, and is done without")


def _goes_on(why: str) -> Simulation:
    """Another way serves; nobody is elected, and a request takes what it takes."""
    chance = Chance(seed=17)
    first = chance.mostly(*SENT_ON)
    return Simulation(first_success=first, sustained=first, basis=why)


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
