"""Which drills are predicted, from which timings, and how that is held against the SLA."""

import json

import pytest
from click.testing import CliRunner

from cluster.topology import MongoTimings, Topology
from cluster.topology_file import load_topology
from mongo import forecast as mongo_forecast
from mongo.live import LiveTimings
from postgres import forecast as postgres_forecast
from skillswap_ops.catalogue import all_drills
from skillswap_ops.drill_predictions import Basis, Foretold, declared, foretell
from skillswap_ops.main import cli

TP3 = load_topology(None)


def changed(topology: Topology, **sections: object) -> Topology:
    """Without the rules: what a rule refuses may still be met on a live cluster."""
    return topology.model_copy(update=sections)


def of(found: list[Foretold], drill: str) -> Foretold:
    return next(each for each in found if each.drill == drill)


def test_what_is_simulated_is_a_drill() -> None:
    simulated = {*mongo_forecast.SIMULATIONS, *postgres_forecast.SIMULATIONS}
    assert simulated <= {spec.name for spec in all_drills()}


def test_every_failover_is_predicted() -> None:
    found = foretell(TP3, declared(TP3), all_drills())
    assert [each.drill for each in found] == [spec.name for spec in all_drills()]
    failovers = {spec.name for spec in all_drills() if "failover" in spec.tags}
    assert len(failovers) >= 4
    assert not failovers & {each.drill for each in found if each.prediction is None}
    assert all(bool(each.why) is (each.prediction is None) for each in found)


def test_who_restores_is_told_why_nothing_is_foretold() -> None:
    found = foretell(TP3, declared(TP3), all_drills())
    assert "as long as its data" in of(found, "pg-pitr").why
    assert "no failover" in of(found, "pg-backup-corruption").why
    assert of(found, "pg-dr-promote").why == ""


def test_tp3_keeps_its_promises() -> None:
    for each in foretell(TP3, declared(TP3), all_drills()):
        assert not each.late, each.drill
        assert not each.slow, each.drill


def test_a_slow_lease_breaks_the_rto() -> None:
    slow = TP3.postgres.timings.model_copy(update={"ttl": 120})
    topology = changed(TP3, postgres=TP3.postgres.model_copy(update={"timings": slow}))
    found = of(foretell(topology, declared(topology), all_drills()), "pg-node-kill")
    assert found.rto == 120
    assert found.late is not None
    assert 0.2 < found.late < 0.8  # 118 to 126 s


def test_a_slow_election_is_held_against_the_elections_sla() -> None:
    mongo = TP3.mongo.model_copy(update={"timings": MongoTimings(election_timeout=20)})
    topology = changed(TP3, mongo=mongo)
    found = of(foretell(topology, declared(topology), all_drills()), "mongo-primary-kill")
    assert found.election == 15
    assert found.slow == 1
    assert found.late == 0  # ten minutes


def test_the_config_servers_have_timings_of_their_own() -> None:
    basis = declared(TP3)
    slow = LiveTimings(30, 1, 0.15)
    apart = Basis(basis.mongo, slow, "a", basis.patroni, "b")
    found = foretell(TP3, apart, all_drills())
    config, shard = of(found, "mongo-config-loss"), of(found, "mongo-primary-kill")
    assert config.slow == 1
    assert shard.slow == 0
    assert (shard.source, of(found, "pg-node-kill").source) == ("a", "b")


def run(*words: str) -> tuple[int, str]:
    ended = CliRunner().invoke(cli, ["drill", "predict", *words])
    return ended.exit_code, ended.stdout


def test_the_command_needs_no_cluster(tmp_path) -> None:  # type: ignore[no-untyped-def]
    code, said = run("--home", str(tmp_path))
    assert code == 0
    assert "pg-node-kill" in said
    assert max(map(len, said.splitlines())) <= 100
    code, said = run("pg-node-kill", "--topology-only", "--home", str(tmp_path), "-o", "json")
    [found] = json.loads(said)
    assert found["drill"] == "pg-node-kill"
    assert found["source"] == "the topology"
    assert found["prediction"]["elected"]["low"] > 17


@pytest.mark.parametrize("words", [("--live",), ("no-such-drill",)])
def test_what_cannot_be_predicted_is_refused(tmp_path, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    ended = CliRunner().invoke(cli, ["drill", "predict", *words, "--home", str(tmp_path)])
    assert ended.exit_code
    assert ended.stdout == ""
