"""`lint`: where, what, what to do; every rule broken once."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.rules import remedies
from cluster.rules.advice import ADVICE
from cluster.rules.remedies import REMEDIES, SLA_RULES
from cluster.topology_file import SHIPPED, examine_topology, parse_topology
from cluster.topology_rules import RULES
from skillswap_ops.linting import Finding, Severity, exit_code, lint
from skillswap_ops.main import cli
from tests.unit.test_topology_rules import WARNINGS
from tests.unit.topology_samples import bad_topologies, changed

TIMINGS = "timings: {ttl: 20, loop_wait: 2, retry_timeout: 5, primary_start_timeout: 20}"


def linted(edits: dict[str, object]) -> tuple[Finding, ...]:
    return lint(examine_topology(changed(edits), "test"))


def one(edits: dict[str, object], rule: str) -> Finding:
    [found] = [each for each in linted(edits) if each.rule == rule]
    return found


def timings(**changes: int) -> dict[str, object]:
    return {
        "postgres.timings": {
            "ttl": 20,
            "loop_wait": 2,
            "retry_timeout": 5,
            "primary_start_timeout": 20,
            **changes,
        }
    }


# What the issue names, each broken once


def test_a_crashed_primary_that_may_take_five_minutes() -> None:
    found = one(timings(primary_start_timeout=300), "crash_within_outage")
    assert found.severity is Severity.SLA
    assert found.field == "postgres.timings.primary_start_timeout"
    assert "lets a crash wait 304 s" in found.what
    assert found.remedy == "set postgres.timings.primary_start_timeout to 116 or less"


def test_a_lease_longer_than_the_outage_that_is_promised() -> None:
    found = one(timings(ttl=130), "failover_within_outage")
    assert found.severity is Severity.SLA
    assert found.field == "postgres.timings.ttl"
    assert found.remedy == "set postgres.timings.ttl to 112 or less"


def test_an_election_longer_than_fifteen_seconds() -> None:
    edits: dict[str, object] = {"mongo.timings": {"election_timeout": 20, "heartbeat_interval": 1}}
    found = one(edits, "election_within_sla")
    assert found.severity is Severity.SLA
    assert found.remedy == "set mongo.timings.election_timeout to 12 or less"


@pytest.mark.parametrize(
    ("edits", "rule"),
    [
        ({"postgres.synchronous_mode_strict": True}, "strict_mode"),
        ({"postgres.dr.members[0].name": "pg1"}, "unique_nodes"),
        ({"postgres.members[1].name": "pg1"}, "unique_nodes"),
        ({"mongo.shards[0].members": 4}, "odd_voters"),
        ({"postgres.etcd": 4}, "odd_etcd"),
        ({"postgres.members[1].role": "asynchronous"}, "synchronous_standby"),
        ({"mongo.shards[0].member": 3}, "field"),
    ],
)
def test_what_no_cluster_is_built_from(edits: dict[str, object], rule: str) -> None:
    found = linted(edits)
    assert {each.rule for each in found if each.rule == rule} == {rule}
    assert exit_code(found) == 2


def test_the_numbers_that_are_advised_are_allowed() -> None:
    for edits in (
        timings(primary_start_timeout=116),
        timings(ttl=112),
        {"mongo.timings": {"election_timeout": 12, "heartbeat_interval": 1}},
    ):
        parse_topology(changed(edits), "test")


def test_no_number_is_advised_that_cannot_be() -> None:
    edits = {**timings(ttl=20), "sla.postgres.rto": 15}
    found = one(edits, "failover_within_outage")
    assert found.remedy.startswith("shorten postgres.timings.ttl, or raise sla.postgres.rto")


# Every rule


def test_every_rule_has_a_remedy_and_every_remedy_a_rule() -> None:
    rules = {rule.find.__name__ for rule in RULES} | {advise.__name__ for advise in ADVICE}
    assert set(REMEDIES) | SLA_RULES == rules
    assert set(remedies._COMPUTED) == SLA_RULES


@pytest.mark.parametrize(("edits", "said"), bad_topologies())
def test_whatever_is_refused_is_linted(edits: dict[str, object], said: list[str]) -> None:
    found = linted(edits)
    assert sorted(f"{each.field}: {each.what}" if each.field else each.what for each in found) == (
        sorted(said)
    )
    assert exit_code(found) in {1, 2}
    assert all(each.remedy and each.line >= 1 for each in found)


@pytest.mark.parametrize(("edits", "said"), WARNINGS.values(), ids=WARNINGS)
def test_whatever_is_warned_of_is_linted(edits: dict[str, object], said: list[str]) -> None:
    found = [each for each in linted(edits) if each.rule != "prediction"]
    assert sorted(f"{each.field}: {each.what}" for each in found) == sorted(said)
    assert exit_code(found) == 0
    assert exit_code(found, strict=True) == bool(said)
    assert all(each.remedy for each in found)


# Predictions


def test_what_the_sums_allow_and_chance_breaks() -> None:
    """At the longest lease that the rules allow, an isolated leader costs two seconds more."""
    found = one(timings(ttl=112, retry_timeout=55), "prediction")
    assert found.field == "postgres.timings.ttl"
    assert "sla.postgres.rto (120 s): pg-" in found.what
    assert found.severity is Severity.WARNING
    assert exit_code([found]) == 0


def test_a_prediction_over_the_sla_is_a_broken_sla() -> None:
    """The rules hold a node's death against the SLA; a primary that is cut off costs more."""
    found = one({**timings(loop_wait=1), "sla.postgres.rto": 27}, "prediction")
    assert found.severity is Severity.SLA
    assert "pg-primary-isolated in 2." in found.what
    assert exit_code([found]) == 1


def test_nothing_is_predicted_of_what_cannot_be_built() -> None:
    edits = {**timings(loop_wait=1), "sla.postgres.rto": 27, "x": 1}
    assert [each.rule for each in linted(edits)] == ["field"]


def test_slow_proxies_are_not_mended_by_a_lease() -> None:
    edits: dict[str, object] = {
        "edge.checks": {"inter": 20, "fall": 3, "rise": 3},
        "sla.postgres.rto": 88,
    }
    found = one(edits, "failover_within_outage")
    assert found.field == "edge.checks.inter"
    assert found.remedy == "shorten edge.checks.inter, or lower edge.checks.rise"


def test_nothing_to_say_against_tp3() -> None:
    assert linted({}) == ()
    assert exit_code(()) == 0


# The command


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["lint", *words])


def broken(folder: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text("utf-8")
    assert old in text
    file = folder / "my.yaml"
    file.write_text(text.replace(old, new), "utf-8")
    return file


def test_a_finding_names_its_line(tmp_path: Path) -> None:
    file = broken(tmp_path, TIMINGS, TIMINGS.replace("timeout: 20", "timeout: 300"))
    ended = run(str(file))
    assert ended.exit_code == 1
    line = next(
        number
        for number, text in enumerate(file.read_text("utf-8").splitlines(), 1)
        if "300}" in text
    )
    assert f"{file}:{line}: postgres.timings.primary_start_timeout" in ended.stdout
    assert "→ set postgres.timings.primary_start_timeout to 116 or less" in ended.stdout
    assert "1 breaks the SLA" in ended.stderr


def test_json_is_clean_and_says_the_same(tmp_path: Path) -> None:
    file = broken(tmp_path, "etcd: 3", "etcd: 4")
    ended = run(str(file), "--output", "json")
    assert ended.exit_code == 2
    said = json.loads(ended.stdout)
    assert said["exit_code"] == 2
    assert [(each["rule"], each["severity"]) for each in said["findings"]] == [
        ("odd_etcd", "invalid")
    ]


def test_warnings_pass_unless_strict(tmp_path: Path) -> None:
    file = broken(tmp_path, "haproxies: 2", "haproxies: 1")
    assert run(str(file)).exit_code == 0
    assert run("--topology", str(file), "--strict").exit_code == 1


def test_without_a_file_the_clusters_own_is_linted(tmp_path: Path) -> None:
    assert run("--home", str(tmp_path)).exit_code == 0
    own = tmp_path / "mine"
    own.mkdir()
    broken(own, "etcd: 3", "etcd: 4").rename(own / "topology.yaml")
    assert run("--home", str(tmp_path)).exit_code == 2


def test_what_is_no_yaml_is_said_as_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("a: [", "utf-8")
    ended = run(str(file))
    assert type(ended.exception).__name__ == "InvalidInputError"
