"""What users should feel: never before the engine serves, and no longer than is promised."""

import numpy as np
import pytest

import mongo.forecast
import postgres.forecast
from cluster.drill.montecarlo import Simulation
from cluster.topology import HaproxyChecks
from cluster.topology_file import load_topology
from manifests.services.settings import Breaker
from skillswap_ops.catalogue import all_drills
from skillswap_ops.drill_predictions import declared, foretell
from skillswap_ops.service_drills import DRILLS, forecast

TP3 = load_topology(None)
MONGO = mongo.forecast.declared(TP3.mongo.timings)
PATRONI = postgres.forecast.declared(TP3.postgres.timings)
CHECKS = HaproxyChecks()


def test_each_drill_of_the_services_is_predicted() -> None:
    found = {one.drill: one for one in foretell(TP3, declared(TP3), all_drills())}
    for spec in DRILLS:
        prediction = found[spec.name].prediction
        assert prediction is not None, spec.name
        assert prediction.basis
        assert prediction.first_success is not None
        assert prediction.sustained is not None
        assert prediction.sustained.high >= prediction.first_success.high
        assert found[spec.name].late == 0


@pytest.mark.parametrize(
    ("users", "engine"),
    [
        (forecast.double_kill(MONGO), mongo.forecast.death(MONGO)),
        (
            forecast.planned(PATRONI, CHECKS),
            postgres.forecast.simulate_switchover(PATRONI, CHECKS),
        ),
    ],
    ids=["double kill", "switchover"],
)
def test_users_wait_longer_than_the_engine_by_a_breaker_and_a_request(
    users: Simulation, engine: Simulation
) -> None:
    assert users.sustained is not None
    assert engine.sustained is not None
    more = users.sustained - engine.sustained
    assert more.min() >= 0
    assert more.max() <= Breaker().seconds + forecast.REQUEST[1] + forecast.SENT_ON[1]
    assert np.mean(more > 0) > 0.99


def test_a_shard_that_is_back_waits_for_its_election_timeout() -> None:
    found = forecast.shard_back(MONGO)
    assert found.first_success is not None
    assert found.first_success.min() > TP3.mongo.timings.election_timeout
    slow = forecast.shard_back(
        mongo.forecast.declared(TP3.mongo.timings.model_copy(update={"election_timeout": 10}))
    )
    assert slow.first_success is not None
    assert slow.first_success.mean() - found.first_success.mean() > 4.5


def test_where_another_way_serves_nobody_waits_for_a_timeout() -> None:
    for simulate in (forecast.instance_lost, forecast.proxy_lost, forecast.redis_lost):
        found = simulate()
        assert found.elected is None
        assert found.sustained is not None
        assert found.sustained.max() <= forecast.SENT_ON[1]
