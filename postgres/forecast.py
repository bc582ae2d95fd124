"""How long a failover should take, from Patroni's and HAProxy's timings: what a report compares to.

Seconds. `live` is Patroni's dynamic configuration, `checks` are the proxies': the same functions
predict from a live scope (`patroni.config`) and from a topology alone (`declared`).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cluster.drill.contracts import Prediction
from cluster.drill.montecarlo import LOOK, PROOF, SLOW_LOOK, Chance, Samples, Simulation
from cluster.prediction import LEASE_SWEEP, PROMOTION
from cluster.topology import HaproxyChecks, PostgresTimings
from postgres.dynamic import PARAMETERS, JsonObject

PROXIES = 2
ETCD_LOOKS = 0.5  # seconds between two looks for expired leases; the rest of the sweep is its log
# A candidate asks every member how far it is, and waits this long for one that does not answer
# (patroni.ha, fetch_node_status).
RACE_REQUEST = 2.0
ROUND = 0.3  # a round's own work comes on top of `loop_wait`
# `timeout check` of our haproxy.cfg: a Patroni that accepts and says nothing.
CHECK_TIMEOUT = 2.0
# controldata, start, fsync of the data folder, and crash recovery of what little was written since
# the last checkpoint; measured 8 on a machine that was overloaded.
RECOVERY = (0.5, 8.0)
# A clean stop: a checkpoint, and all WAL sent to the standbys.
STOP = (0.3, 6.0)
SERVES_ON = (0.0, 0.5)  # the first answer, where the old primary still gives it
POOL_LOGIN = 1.0  # `server_login_retry` of our pgbouncer.ini
# Patroni reads pg_stat_replication, writes the sync key and reloads PostgreSQL.
NEW_NAMES = (0.1, 1.0)
# A silent check is not looked at the moment it times out, on two busy cores.
LATE = (0.0, 1.5)
# edge-stale-pool: each of its kept sessions writes once in ten seconds, and knows nothing before.
KEPT_TURN, KEPT_PERIOD = 10.0, 0.5
STUCK = 2.5  # of a drill's writers: the proxies end the sessions of a node that they drop
WRITE_SECONDS = 5.0  # the same where pgbouncer lives on and holds them: their own deadline
# A standby whose primary refuses it tries again after this (wal_retrieve_retry_interval); no commit
# is acknowledged before it is back, or Patroni has excused it.
STANDBY_RETRY, STANDBY_BACK = 5.0, (0.1, 0.6)
# pg-dr-promote: seconds until the operator acts. What `dr promote` does before it orders the
# promotion: nobody answers, what the archive has, what was replayed, the dead disks' WAL.
DECISION = 2.0
PREPARED = (0.1, 8.0)
# And after it: the dynamic configuration, the proxies' new files, their first look. Measured from
# the loss, all in all: 2.5 to the next leader, 2.9 to the first write.
EDGE_MOVED = (0.1, 5.0)

# Patroni's own defaults, for what a live configuration leaves out.
DEFAULTS = {"ttl": 30.0, "loop_wait": 10.0, "retry_timeout": 10.0, "primary_start_timeout": 300.0}
PATIENCE = 60.0  # PostgreSQL's own wal_sender_timeout
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min)?")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0}


def declared(timings: PostgresTimings) -> JsonObject:
    """The dynamic configuration of a scope that is provisioned from these, as far as it counts."""
    return {
        "ttl": timings.ttl,
        "loop_wait": timings.loop_wait,
        "retry_timeout": timings.retry_timeout,
        "primary_start_timeout": timings.primary_start_timeout,
    }


def node_loss(live: JsonObject, checks: HaproxyChecks) -> Prediction:
    """From a node's death, Patroni with it, to writes through the proxies again."""
    return simulate_node_loss(live, checks).prediction


def crash(live: JsonObject, checks: HaproxyChecks) -> Prediction:
    """From the death of the primary's PostgreSQL alone, to writes on the same timeline."""
    return simulate_crash(live, checks).prediction


def switchover(live: JsonObject, checks: HaproxyChecks) -> Prediction:
    """From the order to change places, to writes on the other node."""
    return simulate_switchover(live, checks).prediction


def silence(live: JsonObject, checks: HaproxyChecks, *, frozen: bool = False) -> Prediction:
    """From a leader that is cut from etcd and its standbys, to writes on the next one.

    `frozen`: it is Patroni alone that is silent, and PostgreSQL serves until the proxies drop it.
    """
    return simulate_silence(live, checks, frozen=frozen).prediction


def standby_loss(live: JsonObject, checks: HaproxyChecks, *, frozen: bool = False) -> Prediction:
    """From the synchronous standby's death, to commits that no longer wait for it.

    `frozen`: it does not die but is silent, and the primary gives it up by a timeout.
    """
    return simulate_standby_loss(live, checks, frozen=frozen).prediction


@dataclass(frozen=True)
class _Timings:
    """What counts of the dynamic configuration."""

    ttl: float
    loop_wait: float
    retry_timeout: float
    primary_start_timeout: float

    @classmethod
    def of(cls, live: JsonObject) -> "_Timings":
        return cls(**{name: _seconds(live.get(name), least) for name, least in DEFAULTS.items()})


def simulate_node_loss(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """See `node_loss`. Everything of the node refuses at once."""
    chance, timings = Chance(), _Timings.of(live)
    proof = chance.between(*PROOF)
    down = _marked_down(chance, checks) - proof
    elected = _expiry(chance, timings) + chance.mostly(*PROMOTION) - proof
    return _served(
        chance,
        np.minimum(down, elected) + chance.between(*LOOK),
        elected,
        checks,
        f"{_lease(timings)}, {_promoted()}, {_proxy(checks)}",
    )


def simulate_crash(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """See `crash`.

    Patroni notices in its next round, or in the one after, as the last backends go; with
    `primary_start_timeout` 0 it hands over instead of starting PostgreSQL again, and where that
    takes longer than the timeout, afterwards. The proxies go on: `/primary` answers by the lease.
    """
    del checks
    chance, timings = Chance(), _Timings.of(live)
    proof, limit = chance.between(*PROOF), timings.primary_start_timeout
    again = np.where(chance.between(0, 1) < 1 / 2, timings.loop_wait, 0.0)
    noticed = chance.phase(timings.loop_wait) + again
    recovery = chance.mostly(*RECOVERY)
    handed = min(limit, RECOVERY[1]) + chance.phase(timings.loop_wait) + chance.mostly(*PROMOTION)
    up = noticed + np.where(recovery > limit, handed, recovery)
    back = up + chance.phase(POOL_LOGIN)
    if live.get("synchronous_mode", True):
        followed = np.ceil(up / STANDBY_RETRY) * STANDBY_RETRY + chance.between(*STANDBY_BACK)
        excused = up + chance.phase(timings.loop_wait) + chance.between(*NEW_NAMES)
        back = np.maximum(back, np.minimum(followed, excused))
    return Simulation(
        detected=noticed + chance.between(0, 1) * (up - noticed) - proof,
        first_success=back - proof,
        sustained=back + chance.stuck(WRITE_SECONDS) - proof,
        basis=f"loop_wait {timings.loop_wait:g}, once or twice, until Patroni notices, "
        f"{RECOVERY[0]:g} to {RECOVERY[1]:g} for the crash recovery (a longer one is a failover "
        f"after primary_start_timeout {limit:g}), then the standby's next try every "
        f"{STANDBY_RETRY:g} or Patroni's next round, which no longer waits for it",
    )


def simulate_switchover(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """See `switchover`. Patroni is woken by the order; the leader stops, releases, the other is
    promoted.
    """
    del live  # no timeout is waited for
    chance = Chance()
    stopped = chance.mostly(*STOP)
    elected = stopped + chance.mostly(*PROMOTION)
    down = _marked_down(chance, checks)
    served = _served(
        chance,
        np.minimum(down, stopped) + chance.between(*LOOK),
        elected,
        checks,
        f"{STOP[0]:g} to {STOP[1]:g} for a clean stop, {_promoted()}, {_proxy(checks)}",
    )
    back = elected + chance.stuck(WRITE_SECONDS)
    return replace(served, first_success=chance.between(*SERVES_ON), sustained=back)


def simulate_stale_pool(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """A switchover under sessions that are not tested: of the slowest of its streams.

    The first kept session to write either meets the old primary yet, or fails, as all of them then
    do in their turn; what fails before the promotion fails once more in the next turn.
    """
    planned, chance = simulate_switchover(live, checks), Chance()
    elected = chance.mostly(*STOP) + chance.mostly(*PROMOTION)
    too_late = chance.phase(KEPT_PERIOD) > chance.between(0, STOP[0])
    in_turn = KEPT_TURN + chance.phase(KEPT_PERIOD) + chance.between(*SERVES_ON)
    first = np.where(too_late, in_turn, chance.between(*SERVES_ON))
    through = elected + KEPT_TURN * chance.between(0.5, 1.0) + chance.stuck(STUCK)
    return replace(
        planned,
        first_success=first,
        sustained=np.maximum(first, through),
        basis=f"{planned.basis}, {KEPT_TURN:g} until every kept session has written",
    )


def simulate_silence(live: JsonObject, checks: HaproxyChecks, *, frozen: bool) -> Simulation:
    """See `silence`. The candidate waits for the silent leader's answer before it stands."""
    chance, timings = Chance(), _Timings.of(live)
    proof = chance.between(*PROOF)
    elected = _expiry(chance, timings) + RACE_REQUEST + chance.mostly(*PROMOTION) - proof
    if frozen:
        down = _silent_down(chance, checks) - proof
    else:
        # It demotes itself when etcd has not answered for retry_timeout, reading or writing, and
        # the other members have not answered either (failsafe_mode, two seconds).
        round_begins = chance.phase(timings.loop_wait)
        gives_up = chance.between(timings.retry_timeout / 2, 2 * timings.retry_timeout + 2)
        down = round_begins + gives_up + _marked_down(chance, checks) - proof
    served = _served(
        chance,
        np.minimum(down, elected) + chance.between(*SLOW_LOOK),
        elected,
        checks,
        f"{_lease(timings)}, {RACE_REQUEST:g} for the silent member's answer, {_promoted()}, "
        f"{_proxy(checks)}",
    )
    return replace(served, first_success=chance.between(*SERVES_ON)) if frozen else served


def simulate_standby_loss(live: JsonObject, checks: HaproxyChecks, *, frozen: bool) -> Simulation:
    """See `standby_loss`. Nobody is elected, and no proxy changes its mind."""
    del checks
    chance, timings = Chance(), _Timings.of(live)
    given_up, waits = np.zeros(chance.draws), ""
    if frozen:
        timeout = _sender_timeout(live)
        given_up = timeout + chance.between(*LOOK)
        waits = f"wal_sender_timeout {timeout:g}, "
    proof = chance.between(*PROOF)
    first = given_up + chance.phase(timings.loop_wait) + chance.between(*NEW_NAMES) - proof
    return Simulation(
        first_success=first,
        sustained=first + chance.stuck(STUCK),
        basis=f"{waits}loop_wait {timings.loop_wait:g} until Patroni notices, up to "
        f"{NEW_NAMES[1]:g} to change synchronous_standby_names",
    )


def simulate_dr_promote(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """From the loss of the region to writes in the other, by an operator who promotes it at once.

    Patroni is woken by the change of its configuration, in that round or, where one is under way,
    in the next.
    """
    chance, timings = Chance(), _Timings.of(live)
    ordered = DECISION + chance.mostly(*PREPARED)
    next_round = np.where(chance.between(0, 1) < 1 / 2, timings.loop_wait, 0.0)
    elected = ordered + next_round + chance.mostly(*PROMOTION)
    first = elected + chance.mostly(*EDGE_MOVED)
    return Simulation(
        detected=_marked_down(chance, checks) + chance.between(*LOOK),
        elected=elected + chance.between(*LOOK),
        first_success=first,
        sustained=first + chance.stuck(STUCK),
        basis=f"{DECISION:g} until the operator acts, {PREPARED[0]:g} to {PREPARED[1]:g} until "
        "what the DR region has is replayed and the loss is known, at times loop_wait "
        f"{timings.loop_wait:g}, {_promoted()}, {EDGE_MOVED[0]:g} to {EDGE_MOVED[1]:g} until the "
        "proxies lead there",
    )


def _expiry(chance: Chance, timings: _Timings) -> Samples:
    """Until etcd drops the leader's key.

    The leader renews its lease in every round (Etcd3.watch), so what is left of it is between
    `ttl - loop_wait` and `ttl`. The next leader is woken by the key's end, not by its own clock.
    """
    left = timings.ttl - chance.phase(timings.loop_wait + ROUND)
    return left + chance.phase(ETCD_LOOKS) + chance.mostly(0, LEASE_SWEEP - ETCD_LOOKS)


def _marked_down(chance: Chance, checks: HaproxyChecks) -> Samples:
    """Until every proxy has dropped a node that refuses or says no."""
    return chance.latest(0, checks.inter, PROXIES) + checks.inter * (checks.fall - 1)


def _silent_down(chance: Chance, checks: HaproxyChecks) -> Samples:
    """The same of a node that accepts and says nothing.

    A check that overruns its interval is followed by the next one when a whole number of intervals
    has passed since it began (haproxy, process_chk_conn).
    """
    spacing = checks.inter * math.ceil(max(CHECK_TIMEOUT, checks.inter) / checks.inter)
    answered = chance.latest(0, checks.inter, PROXIES) + CHECK_TIMEOUT + chance.mostly(*LATE)
    return answered + spacing * (checks.fall - 1)


def _served(
    chance: Chance, detected: Samples, elected: Samples, checks: HaproxyChecks, basis: str
) -> Simulation:
    """The first proxy that believes it is enough: clients know both, and try the other."""
    risen = chance.soonest(0, checks.inter, PROXIES) + checks.inter * (checks.rise - 1)
    first = elected + risen
    sustained = first + chance.stuck(STUCK)
    return Simulation(detected, elected + chance.between(*LOOK), first, sustained, basis)


def _lease(timings: _Timings) -> str:
    return (
        f"ttl {timings.ttl:g} less at most loop_wait {timings.loop_wait:g} since its last renewal, "
        f"up to {LEASE_SWEEP:g} for etcd's sweep"
    )


def _promoted() -> str:
    return f"{PROMOTION[0]:g} to {PROMOTION[1]:g} for the promotion"


def _proxy(checks: HaproxyChecks) -> str:
    return f"HAProxy every {checks.inter:g} (fall {checks.fall}, rise {checks.rise})"


def _seconds(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _sender_timeout(live: JsonObject) -> float:
    """PostgreSQL's wal_sender_timeout of a live configuration, else ours: `10s`."""
    postgresql = live.get("postgresql")
    parameters = postgresql.get("parameters") if isinstance(postgresql, Mapping) else None
    given = parameters.get("wal_sender_timeout") if isinstance(parameters, Mapping) else None
    found = _DURATION.fullmatch(str(given or PARAMETERS["wal_sender_timeout"]))
    return float(found[1]) * _UNITS[found[2] or "ms"] if found else PATIENCE


def _frozen(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    return simulate_silence(live, checks, frozen=True)


def _isolated(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    return simulate_silence(live, checks, frozen=False)


def _isolated_alone(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    """Asynchronous: clients of the old primary are acknowledged, so nothing is told of theirs."""
    return replace(_isolated(live, checks), first_success=None, sustained=None)


def _standby_killed(live: JsonObject, checks: HaproxyChecks) -> Simulation:
    return simulate_standby_loss(live, checks, frozen=False)


# By drill: what can be told of it before there is a cluster. The others expect no outage.
SIMULATIONS: Mapping[str, Callable[[JsonObject, HaproxyChecks], Simulation]] = {
    "pg-node-kill": simulate_node_loss,
    "pg-postmaster-kill": simulate_crash,
    "pg-switchover": simulate_switchover,
    "pg-patroni-freeze": _frozen,
    "pg-primary-isolated": _isolated,
    "pg-async": _isolated_alone,
    "pg-sync-standby-loss": _standby_killed,
    "edge-stale-pool": simulate_stale_pool,
    "pg-dr-promote": simulate_dr_promote,
}
