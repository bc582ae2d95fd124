"""Predictions by simulation: the core, and what each engine makes of its timings."""

from itertools import pairwise

import numpy as np
import pytest

from cluster import prediction
from cluster.drill.contracts import Prediction, Range
from cluster.drill.montecarlo import Chance, Simulation, exceeding, spread
from cluster.topology import HaproxyChecks, MongoTimings, PostgresTimings
from mongo import forecast as mongo_forecast
from mongo.live import LiveTimings
from postgres import forecast as postgres_forecast
from postgres.dynamic import JsonObject
from skillswap_ops.service_drills.forecast import double_kill

OURS = mongo_forecast.declared(MongoTimings())
SERVERS_OWN = LiveTimings(10, 2, 0.15)
PATRONI = postgres_forecast.declared(PostgresTimings())
CHECKS = HaproxyChecks()


def high(found: Range | None) -> float:
    assert found is not None
    return found.high


def low(found: Range | None) -> float:
    assert found is not None
    return found.low


# The core


def test_a_range_leaves_out_the_rarest_hundredth_at_either_end() -> None:
    assert spread(np.arange(1001) / 10) == Range(1.0, 99.0, 50.0)


def test_before_the_proof_is_now() -> None:
    assert spread(np.array([-3.0, -2.0, -1.0])) == Range(0, 0, 0)


@pytest.mark.parametrize("samples", [None, np.empty(0)])
def test_nothing_drawn_is_nothing_foretold(samples: np.ndarray | None) -> None:
    assert spread(samples) is None


def test_risk_is_the_share_that_takes_longer() -> None:
    assert exceeding(np.array([1.0, 2.0, 3.0, 4.0]), 2.0) == 0.5
    assert Simulation(sustained=np.array([1.0, 5.0])).risk(2.0) == 0.5
    assert Simulation().risk(2.0) is None


def test_draws_lie_where_they_are_said_to() -> None:
    chance = Chance()
    assert chance.between(2, 3).shape == (20_000,)
    assert 2 <= chance.between(2, 3).min() < 2.01
    assert 2.99 < chance.between(2, 3).max() <= 3
    assert np.median(chance.phase(8)) == pytest.approx(4, abs=0.2)
    assert np.mean(chance.soonest(0, 3, 2)) == pytest.approx(1, abs=0.05)
    assert np.mean(chance.latest(0, 3, 2)) == pytest.approx(2, abs=0.05)
    assert np.mean(chance.mostly(1, 4)) == pytest.approx(2, abs=0.05)  # 1 + 3 · E[u²]


def test_the_same_timings_give_the_same_prediction() -> None:
    assert mongo_forecast.primary_death(OURS) == mongo_forecast.primary_death(OURS)
    assert not np.array_equal(Chance(seed=1).phase(1), Chance(seed=2).phase(1))


# What any prediction must be

EVERY = {
    **{name: made(OURS) for name, made in mongo_forecast.SIMULATIONS.items()},
    **{name: made(PATRONI, CHECKS) for name, made in postgres_forecast.SIMULATIONS.items()},
}


# The old primary serves on, until it is stopped or the proxies drop it.
SERVE_ON = {"pg-patroni-freeze", "pg-switchover", "edge-stale-pool"}


@pytest.mark.parametrize("name", EVERY)
def test_a_prediction_is_in_order_and_says_what_it_rests_on(name: str) -> None:
    foretold = EVERY[name].prediction
    assert foretold.basis
    ranges = [
        each
        for each in (foretold.detected, foretold.elected, foretold.first_success)
        if each is not None
    ]
    assert ranges
    for one in ranges:
        assert one.median is not None
        assert 0 <= one.low <= one.median <= one.high
    if name not in SERVE_ON:
        assert all(before.high <= after.high + 0.3 for before, after in pairwise(ranges))
    if foretold.sustained and foretold.first_success:
        assert foretold.sustained.low >= foretold.first_success.low
        assert foretold.sustained.high >= foretold.first_success.high


# MongoDB


def inside(found: Range | None, *measured: float) -> bool:
    return found is not None and all(found.low <= each <= found.high for each in measured)


def test_runs_that_were_measured_are_inside() -> None:
    """On two shared cores, 5 s and 1 s, through the segment router, unless said otherwise."""
    death = mongo_forecast.primary_death(OURS)
    assert inside(death.detected, 0.0, 0.011)
    assert inside(death.elected, 4.999, 5.066)
    assert inside(death.first_success, 5.3, 6.038, 6.129)  # 5.3: without a router
    assert inside(death.sustained, 6.038, 6.129)
    assert inside(mongo_forecast.primary_death(SERVERS_OWN).first_success, 11.1)
    loss = postgres_forecast.node_loss(PATRONI, CHECKS)
    assert inside(loss.detected, 1.60, 1.77)
    assert inside(loss.elected, 18.68, 20.79)
    assert inside(loss.first_success, 18.93, 20.3, 20.79)
    assert inside(loss.sustained, 18.93, 21.88)
    changed = postgres_forecast.switchover(PATRONI, CHECKS)
    assert inside(changed.detected, 0.42)
    assert inside(changed.elected, 3.1)
    assert inside(changed.sustained, 3.7)
    kept = postgres_forecast.simulate_stale_pool(PATRONI, CHECKS).prediction
    assert inside(kept.first_success, 10.4)
    assert inside(kept.sustained, 14.3)
    both = double_kill(OURS).prediction
    assert inside(both.first_success, 6.4)
    assert inside(both.sustained, 6.4)
    planned = mongo_forecast.stepdown(OURS)
    assert inside(planned.elected, 0.20, 0.03)
    assert inside(planned.sustained, 1.22)
    silence = mongo_forecast.primary_silence(OURS)
    assert inside(silence.detected, 5.55, 5.47, 5.28, 5.51)
    assert inside(silence.elected, 5.55, 5.47, 5.42, 5.71, 10.64)
    assert inside(silence.first_success, 9.43, 9.56, 9.38, 9.46, 10.90, 6.04, 10.82)
    assert inside(silence.sustained, 31.48, 29.08, 29.02, 29.06, 10.90, 6.04, 10.82)
    crash = postgres_forecast.crash(PATRONI, CHECKS)
    assert inside(crash.first_success, 10.30, 10.31)
    frozen = postgres_forecast.silence(PATRONI, CHECKS, frozen=True)
    assert inside(frozen.detected, 5.32)
    assert inside(frozen.sustained, 20.95)
    isolated = postgres_forecast.silence(PATRONI, CHECKS)
    assert inside(isolated.detected, 14.56)
    assert inside(isolated.sustained, 22.78)
    order = postgres_forecast.switchover(PATRONI, CHECKS)
    assert inside(order.elected, 5.81, 6.87)
    assert inside(order.sustained, 5.32)


def test_a_second_wait_for_a_silent_member_doubles_the_election() -> None:
    """Given up before the election is won, it is asked again and has all of its time again."""
    short = LiveTimings(5, 1, 0.15, heartbeat_timeout=1)
    assert high(mongo_forecast.primary_silence(short).elected) < 7.6
    assert high(mongo_forecast.primary_silence(OURS).elected) > 10.5


def test_a_crash_waits_for_the_standby_or_for_patroni_to_excuse_it() -> None:
    waits = postgres_forecast.crash(PATRONI, CHECKS).first_success
    alone = postgres_forecast.crash(live(synchronous_mode=False), CHECKS).first_success
    assert waits is not None
    assert alone is not None
    assert waits.median is not None
    assert alone.median is not None
    assert 0.2 < waits.median - alone.median < 2


def test_the_prediction_follows_the_live_timings() -> None:
    ours, slow = mongo_forecast.primary_death(OURS), mongo_forecast.primary_death(SERVERS_OWN)
    assert high(ours.elected) < 6.5
    assert low(slow.elected) > 9
    assert "electionTimeoutMillis 10000, up to 15% more" in slow.basis


def test_an_idle_set_may_have_heard_of_its_primary_a_heartbeat_ago() -> None:
    idle = mongo_forecast.primary_death(OURS, busy=False).elected
    busy = mongo_forecast.primary_death(OURS).elected
    assert low(idle) < low(busy) - 0.2


def test_a_silent_primary_is_given_up_by_the_heartbeats_timeout() -> None:
    """Seen: an election that was won after 5.5 s was of use after 11.4 s with the default of 10."""
    patient = LiveTimings(5, 1, 0.15, heartbeat_timeout=10)
    assert inside(mongo_forecast.primary_silence(patient).first_success, 11.4)
    assert high(mongo_forecast.primary_death(patient).elected) < 7


def test_heartbeats_refused_are_noticed_sooner_than_heartbeats_unanswered() -> None:
    death, silence = mongo_forecast.primary_death(OURS), mongo_forecast.primary_silence(OURS)
    assert high(death.detected) < 1.3
    assert low(silence.detected) > 3


def test_a_stepdown_waits_for_no_timeout() -> None:
    assert mongo_forecast.stepdown(OURS) == mongo_forecast.stepdown(SERVERS_OWN)
    assert mongo_forecast.stepdown(OURS).detected is None  # nobody is down


def test_what_a_topology_declares_is_what_members_are_given() -> None:
    declared = mongo_forecast.declared(MongoTimings(election_timeout=7.4, heartbeat_interval=0.5))
    assert declared == LiveTimings(7.4, 0.5, 0.15, 7.0)


@pytest.mark.parametrize("timeout", [2, 5, 10, 12])
@pytest.mark.parametrize("beat", [0.5, 1])
def test_the_rules_allow_no_election_that_is_foretold_to_take_longer(
    timeout: float, beat: float
) -> None:
    timings = MongoTimings(election_timeout=timeout, heartbeat_interval=beat)
    foretold = mongo_forecast.primary_death(mongo_forecast.declared(timings)).elected
    assert high(foretold) <= prediction.election(timings) + 0.2  # the observer's look


# PostgreSQL


def live(**changes: bool | int | float | str) -> JsonObject:
    return {**PATRONI, **changes}


@pytest.mark.parametrize("ttl", [20, 60])
@pytest.mark.parametrize("loop_wait", [2, 10])
def test_a_lease_holds_for_its_ttl_less_a_round(ttl: int, loop_wait: int) -> None:
    lost = postgres_forecast.node_loss(live(ttl=ttl, loop_wait=loop_wait), CHECKS)
    assert ttl - loop_wait <= low(lost.elected) + 0.4
    assert high(lost.elected) <= ttl + prediction.LEASE_SWEEP + prediction.PROMOTION[1]


def test_proxies_take_their_checks_to_believe_it() -> None:
    slow = HaproxyChecks(inter=3, fall=4, rise=2)
    quick, late = (postgres_forecast.node_loss(PATRONI, each) for each in (CHECKS, slow))
    assert high(quick.detected) < 2.2
    assert 9 < low(late.detected) < high(late.detected) < 12.2
    assert low(late.first_success) > low(quick.first_success) + 2.5


def test_a_proxy_waits_for_a_silent_patroni() -> None:
    """Two checks of two seconds, one after the other."""
    frozen = postgres_forecast.silence(PATRONI, CHECKS, frozen=True)
    assert 3.4 < low(frozen.detected) < high(frozen.detected) < 7.2
    assert high(frozen.first_success) <= 0.5  # PostgreSQL serves on
    assert low(frozen.sustained) > 18


def test_an_isolated_leader_gives_up_before_its_lease_is_over() -> None:
    isolated = postgres_forecast.silence(PATRONI, CHECKS)
    assert high(isolated.detected) < 16
    assert low(isolated.elected) > 18
    assert low(isolated.first_success) > low(isolated.elected) - 0.2


def test_a_crash_is_no_failover_unless_it_shall_be() -> None:
    crash = postgres_forecast.crash(PATRONI, CHECKS)
    assert crash.elected is None
    assert high(crash.sustained) < high(postgres_forecast.node_loss(PATRONI, CHECKS).sustained)
    assert "primary_start_timeout 20" in crash.basis
    sooner = postgres_forecast.crash(live(primary_start_timeout=0), CHECKS)
    assert sooner != crash


def test_a_frozen_standby_is_given_up_by_a_timeout_of_postgresql() -> None:
    killed = postgres_forecast.standby_loss(PATRONI, CHECKS)
    assert killed.elected is None
    assert high(killed.first_success) < 3.2
    frozen = postgres_forecast.standby_loss(PATRONI, CHECKS, frozen=True)
    assert 9.3 < low(frozen.first_success) < high(frozen.first_success) < 13.2
    for given, seconds in (("30s", 30), ("2min", 120), ("2500", 2.5), ("1500 ms", 1.5)):
        changed: JsonObject = {
            **PATRONI,
            "postgresql": {"parameters": {"wal_sender_timeout": given}},
        }
        found = postgres_forecast.standby_loss(changed, CHECKS, frozen=True)
        assert low(found.first_success) == pytest.approx(seconds, abs=0.8)


def test_a_switchover_waits_for_no_lease() -> None:
    planned = postgres_forecast.switchover(PATRONI, CHECKS)
    assert planned == postgres_forecast.switchover(live(ttl=300), CHECKS)
    assert high(planned.sustained) < 12


def test_what_a_live_configuration_leaves_out_is_patronis_default() -> None:
    bare = postgres_forecast.node_loss({}, CHECKS)
    assert "ttl 30 less at most loop_wait 10" in bare.basis
    assert isinstance(bare, Prediction)
