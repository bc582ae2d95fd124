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


FAILOVERS = {"chain-double-kill", "services-stale-pool"}


def test_what_fails_over_under_the_services_is_predicted_and_nothing_else() -> None:
    """The others have no stamps that a prediction could be held against."""
    found = {one.drill: one for one in foretell(TP3, declared(TP3), all_drills())}
    predicted = {spec.name for spec in DRILLS if found[spec.name].prediction is not None}
    assert predicted == FAILOVERS
    for name in FAILOVERS:
        prediction = found[name].prediction
        assert prediction is not None
        assert prediction.first_success is not None
        assert prediction.sustained is not None
        assert prediction.sustained.high >= prediction.first_success.high
        assert found[name].late == 0


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
    assert more.max() <= Breaker().seconds + forecast.REQUEST[1] + forecast.SERVED[1]
    assert np.mean(more > 0) > 0.99
