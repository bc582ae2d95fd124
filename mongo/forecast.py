"""How long an election should take, from a set's timings: the arithmetic behind a report.

Seconds. The same functions predict from a live set (`live.live_timings`) and from a topology alone
(`declared`). A set of three is meant: with more members the first to stand comes a little earlier.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cluster.drill.contracts import Prediction
from cluster.drill.montecarlo import LOOK, PROOF, SLOW_LOOK, Chance, Samples, Simulation
from cluster.prediction import ELECTION_OFFSET
from cluster.topology import MongoTimings
from mongo.live import LiveTimings
from mongo.members import heartbeat_timeout

SURVIVORS = 2
# Writes reach a secondary at once, and each batch of the oplog says that the primary lives
# (DataReplicatorExternalStateImpl::processMetadata); an idle set has heartbeats alone.
HEARD = 0.2
# Dry run, vote, catch-up and drain on one network; 0.03 measured, more on two busy cores.
VOTE = (0.02, 1.0)
# The other secondary asks for a new sync source once a second (BackgroundSync), and no majority is
# there before it has found one; then router and driver must know the primary. Measured 0.3 to 1.1.
FOLLOWED = (0.1, 1.6)
# A secondary that waits for the oplog of a silent source waits for half an election timeout and
# oplogNetworkTimeoutBufferSeconds, and then chooses another; measured 9.9 to 10.9 from the fault.
SOURCE_BUFFER, SOURCE_CHOSEN = 5.0, (1.5, 4.0)
# A secondary may follow the other one (chaining): where that wins, nobody waits for the silent
# one. One run of six.
CHAINED = 0.2
# A secondary that was telling the silent one how far it is (SyncSourceFeedback) goes on waiting for
# its answer for 30 s. Until then a majority is seen with the heartbeats alone, once an interval,
# and more than a few writes a second queue up. Seen in five runs of six.
FEEDBACK, HANGS = (30.0, 32.5), 0.75
SILENCED = (0.05, 2.0)  # until it is proved that nothing comes through any more
# A primary that steps down hands over to a secondary that has everything (electionHandoff).
HANDOFF = (0.02, 1.0)
ANSWERED = (0.0, 0.2)  # the command's answer, from which times count, comes after it has begun
WRITE_SECONDS = 2.0  # a drill's writers: the longest that one may be stuck


def declared(timings: MongoTimings) -> LiveTimings:
    """What a set runs with that is provisioned from these."""
    return LiveTimings(
        timings.election_timeout,
        timings.heartbeat_interval,
        ELECTION_OFFSET,
        float(heartbeat_timeout(timings)),
    )


def primary_death(timings: LiveTimings, *, busy: bool = True) -> Prediction:
    """Of a primary's sudden death, which refuses every heartbeat from then on.

    `busy`: the set is written to; the config servers hardly are.
    """
    return death(timings, busy=busy).prediction


def primary_silence(timings: LiveTimings) -> Prediction:
    """Of a primary that is frozen, or cut from the others: nobody answers, nobody refuses."""
    return silence(timings).prediction


def stepdown(timings: LiveTimings) -> Prediction:
    """Of a primary that is told to step down."""
    return handover(timings).prediction


def death(timings: LiveTimings, *, busy: bool = True) -> Simulation:
    """See `primary_death`."""
    chance = Chance()
    proof = chance.between(*PROOF)
    elected = _stands(chance, timings, busy=busy) + chance.mostly(*VOTE) - proof
    noticed = chance.soonest(0, timings.heartbeat_interval, SURVIVORS) - proof
    return _served(
        chance,
        np.minimum(noticed + chance.between(*LOOK), elected),
        elected + chance.between(*LOOK),
        elected + chance.between(*FOLLOWED),
        f"electionTimeoutMillis {timings.election_timeout * 1000:g}, up to {timings.offset:.0%} "
        f"more by chance, heartbeatIntervalMillis {timings.heartbeat_interval * 1000:g}",
    )


def silence(timings: LiveTimings) -> Simulation:
    """See `primary_silence`.

    The new primary takes no write before the silent one has told it how far it is, or is given up.
    A heartbeat that hangs when the election is won counts; if it was given up before, another one
    is sent, and has all of its timeout.
    """
    chance = Chance()
    proof = chance.between(*SILENCED)
    won = _stands(chance, timings, busy=True) + chance.mostly(*VOTE)
    unanswered = chance.phase(timings.heartbeat_interval) + timings.heartbeat_timeout
    given_up = np.where(unanswered < won, won + timings.heartbeat_timeout, unanswered)
    elected = given_up - proof + chance.between(*LOOK)
    noticed = np.minimum(unanswered - proof + chance.between(*SLOW_LOOK), elected)
    source = timings.election_timeout / 2 + SOURCE_BUFFER + chance.between(*SOURCE_CHOSEN) - proof
    chained = chance.between(0, 1) < CHAINED
    followed = elected + chance.between(*FOLLOWED)
    first = np.where(chained, followed, np.maximum(followed, source))
    hanging = ~chained & (chance.between(0, 1) < HANGS)
    hangs = np.where(hanging, chance.between(*FEEDBACK) - proof, 0.0)
    served = _served(
        chance,
        noticed,
        elected,
        first,
        f"electionTimeoutMillis {timings.election_timeout * 1000:g}, up to {timings.offset:.0%} "
        f"more by chance, heartbeatTimeoutSecs {timings.heartbeat_timeout:g} from a heartbeat that "
        f"is due within {timings.heartbeat_interval:g}, or from the election; {FEEDBACK[0]:g} "
        "until a secondary no longer reports to the silent one",
    )
    return replace(served, sustained=np.maximum(first + chance.stuck(WRITE_SECONDS), hangs))


def handover(_timings: LiveTimings) -> Simulation:
    """See `stepdown`: it waits for no timeout."""
    chance = Chance()
    elected = np.maximum(chance.mostly(*HANDOFF) - chance.between(*ANSWERED), 0.0)
    first = elected + chance.between(0, FOLLOWED[1])
    return _served(
        chance,
        None,
        elected + chance.between(*LOOK),
        first,
        "a secondary that has everything is told to stand at once, whatever the timeouts",
    )


def _stands(chance: Chance, timings: LiveTimings, *, busy: bool) -> Samples:
    """Until the first survivor stands, from the fault.

    Each has its own chance, and its own last word of the primary.
    """
    age = min(HEARD, timings.heartbeat_interval) if busy else timings.heartbeat_interval
    each = [
        timings.election_timeout * (1 + chance.between(0, timings.offset)) - chance.phase(age)
        for _ in range(SURVIVORS)
    ]
    first: Samples = np.min(each, axis=0)
    return first


def _served(
    chance: Chance, detected: Samples | None, elected: Samples, first: Samples, basis: str
) -> Simulation:
    """Service is back for good when the writers are free."""
    sustained = first + chance.stuck(WRITE_SECONDS)
    return Simulation(detected, elected, first, sustained, basis)


def _election_alone(simulation: Simulation) -> Simulation:
    """Where clients are not hurt, or go on with the old primary."""
    return replace(simulation, first_success=None, sustained=None)


# By drill: what can be told of it before there is a cluster. The others expect no election.
SIMULATIONS: Mapping[str, Callable[[LiveTimings], Simulation]] = {
    "mongo-primary-kill": death,
    "mongo-primary-freeze": silence,
    "mongo-stepdown": handover,
    "mongo-primary-isolated": silence,
    "mongo-w1-isolated": lambda timings: _election_alone(silence(timings)),
    "mongo-config-loss": lambda timings: _election_alone(death(timings, busy=False)),
}
