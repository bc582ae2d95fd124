"""The rules between fields, the warnings, and the predictions that they rest on."""

import pytest

from cluster import prediction
from cluster.problems import NOTHING, Problem, Raw, dotted, shown, suggestion
from cluster.topology import HaproxyChecks, MongoTimings, PostgresTimings, Topology
from cluster.topology_file import load_topology
from cluster.topology_rules import RULES, SECTIONS, check_topology, lint_topology
from postgres import forecast
from tests.unit.topology_samples import DELETED, bad_topologies, changed, topology

TP3 = load_topology(None)


class Recorder:
    """A topology that notes which sections a rule looks at."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name in SECTIONS:
            self.read.add(name)
        return getattr(self._topology, name)


def shaped(edits: dict[str, object]) -> Topology | None:
    """A topology whose fields are right one by one, whatever the rules say."""
    try:
        return Topology.model_validate_json(changed(edits))
    except ValueError:
        return None


SHAPED = [found for edits, _ in bad_topologies() if (found := shaped(edits)) is not None]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.find.__name__)
def test_every_rule_is_why_some_topology_is_refused(rule) -> None:  # type: ignore[no-untyped-def]
    """With the exact messages of the table this makes the removal of any rule a failure."""
    assert any(tuple(rule.find(bad)) for bad in SHAPED)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.find.__name__)
def test_a_rule_reads_what_it_says_and_no_more(rule) -> None:  # type: ignore[no-untyped-def]
    read: set[str] = set()
    for bad in [TP3, *SHAPED]:
        recorder = Recorder(bad)
        tuple(rule.find(recorder))
        read |= recorder.read
    assert read == rule.reads


def test_nothing_is_wrong_with_tp3() -> None:
    assert check_topology(TP3) == ()
    assert lint_topology(TP3) == ()


def test_no_rule_runs_on_nothing() -> None:
    assert all(rule.reads for rule in RULES)
    assert check_topology(SHAPED[0], frozenset()) == ()


GOOD = {
    "five members": {"mongo.shards[0].members": 5},
    "an arbiter beside two or four": {
        "mongo.shards[0]": {"name": "a", "segment": "a", "members": 4, "arbiter": True},
    },
    "zones by hand": {"mongo.shards[0].zones": ["eu-west-c", "eu-west-a", "eu-west-b"]},
    "MongoDB's own timings": {"mongo.timings": {"election_timeout": 10, "heartbeat_interval": 2}},
    "two candidates": {
        "postgres.members[2]": {"name": "pgsync2", "zone": "eu-west-c", "role": "synchronous"}
    },
    "no DR": {"postgres.dr": DELETED},
    "asynchronous by promise": {"postgres.synchronous_mode": False, "sla.postgres.rpo": 5},
    "seven of etcd": {"postgres.etcd": 7},
    "own parameters": {
        "postgres.parameters": {"work_mem": "8MB", "max_connections": 200, "pg_stat.x": True},
        "edge.pool_size": 180,
    },
    "a folder and S3": {
        "archive.repositories": [
            {"type": "folder", "path": "/srv/archive"},
            {"type": "folder", "path": "/srv/archive2"},
            {"type": "s3", "endpoint": "s3.example", "bucket": "my.bucket"},
            {"type": "s3", "endpoint": "s3.example", "bucket": "my.bucket", "path": "/other"},
        ]
    },
    "the archive in the object store": {
        "objects.members": 1,
        "archive.repositories": [{"type": "folder"}, {"type": "objects", "bucket": "wal"}],
    },
    "files elsewhere": {
        "objects": {"external": {"endpoint": "s3.example", "bucket": "media", "port": 9000}},
    },
    "everything at its limit": {
        "postgres.timings": {"ttl": 112, "retry_timeout": 55, "primary_start_timeout": 116},
        "edge.pool_size": 80,
        "mongo.timings": {"election_timeout": 2, "heartbeat_interval": 1},
        "mongo.write_concern": 3,
        "postgres.parameters": {"max_wal_senders": 4, "max_replication_slots": 4},
        "sla.mongo": {"election": 600, "rto": 600},
    },
    "another network": {"local.network": "127.255.0.0/16"},
    "40 shards": {
        "mongo.shards": [{"name": f"s{i}", "segment": f"s{i}", "members": 1} for i in range(40)]
    },
    "names that only look taken": {
        "postgres.members[0].name": "etcd-4",
        "mongo.shards[0].name": "r",
    },
}


@pytest.mark.parametrize("edits", GOOD.values(), ids=GOOD)
def test_what_must_be_allowed(edits: dict[str, object]) -> None:
    topology(edits)


WARNINGS: dict[str, tuple[dict[str, object], list[str]]] = {
    "no backups": (
        {"mongo.backup.enabled": False},
        [
            "mongo.backup.enabled: leaves MongoDB without any backup: what is destroyed is gone"
            " (got false)",
        ],
    ),
    "an archive that lags": (
        {"mongo.backup.slice": 100, "sla.mongo.rpo": 120},
        [
            "mongo.backup.slice: lets the loss of the whole cluster lose more than sla.mongo.rpo"
            " (120 s) (got 100)",
        ],
    ),
    "single members": (
        {"mongo.shards[0].members": 1, "mongo.config_servers.members": 1},
        [
            "mongo.config_servers.members: is a single point of failure: its loss takes the"
            " cluster's metadata with it (got 1)",
            "mongo.shards[0].members: is a single point of failure: its loss takes its segment"
            " with it (got 1)",
        ],
    ),
    "single fleets": (
        {"mongo.routers": 1, "postgres.etcd": 1, "edge.haproxies": 1},
        [
            "mongo.routers: is a single point of failure: its loss takes all of MongoDB with it"
            " (got 1)",
            "postgres.etcd: is a single point of failure: its loss takes failover with it (got 1)",
            "edge.haproxies: is a single point of failure: its loss takes the way to PostgreSQL"
            " with it (got 1)",
        ],
    ),
    "primary, secondary, arbiter": (
        {"mongo.shards[0]": {"name": "a", "segment": "a", "members": 2, "arbiter": True}},
        [
            "mongo.shards[0].arbiter: lets majority writes wait for ever once a data-bearing"
            " member is lost (got true)"
        ],
    ),
    "an arbiter with room": (
        {"mongo.shards[0]": {"name": "a", "segment": "a", "members": 4, "arbiter": True}},
        [],
    ),
    "w:1": (
        {"mongo.write_concern": 1},
        [
            "mongo.write_concern: holds sla.mongo.rpo (300 s) only while no secondary lags more"
            " than that (got 1)"
        ],
    ),
    "w:3 of 3": (
        {"mongo.write_concern": 3, "mongo.shards[1].members": 5},
        ["mongo.shards[0].members: lets the loss of one member of shard-a stop its writes (got 3)"],
    ),
    "hasty": (
        {"mongo.timings": {"election_timeout": 1.5, "heartbeat_interval": 0.5}},
        [
            "mongo.timings.election_timeout: takes a primary that stalls for 1.5 s for dead"
            " (got 1.5)"
        ],
    ),
    "a heavy zone": (
        {"mongo.shards[1].zones": ["eu-west-a", "eu-west-b", "eu-west-b"]},
        ["mongo.shards[1]: has 2 of its 3 voters in zone eu-west-b: its loss ends the quorum"],
    ),
    "two zones": (
        {
            "regions[0].zones": ["eu-west-a", "eu-west-b"],
            "mongo.shards": [{"name": "a", "segment": "a", "members": 1}],
            "mongo.config_servers.members": 5,
        },
        [
            "mongo.shards[0].members: is a single point of failure: its loss takes its segment"
            " with it (got 1)",
            "mongo.config_servers: has 3 of its 5 voters in zone eu-west-a: its loss ends the"
            " quorum",
            "postgres.etcd: has 2 of its 3 voters in zone eu-west-a: its loss ends the quorum",
        ],
    ),
    "asynchronous": (
        {"postgres.synchronous_mode": False, "sla.postgres.rpo": 5},
        [
            "postgres.synchronous_mode: lets a failover lose acknowledged payments, up to"
            " Patroni's maximum lag of 1 MiB (got false)",
            "postgres.members[1].role: waits for nobody, as synchronous_mode is false"
            ' (got "synchronous")',
        ],
    ),
    "nobody to take over": (
        {
            "postgres.synchronous_mode": False,
            "sla.postgres.rpo": 5,
            "postgres.members[1].role": "asynchronous",
        },
        [
            "postgres.synchronous_mode: lets a failover lose acknowledged payments, up to"
            " Patroni's maximum lag of 1 MiB (got false)",
            "postgres.members: has nobody who may take over from the primary",
        ],
    ),
    "strict": (
        {"postgres.synchronous_mode_strict": True, "postgres.dr": DELETED},
        [
            "postgres.synchronous_mode_strict: lets the loss of the last standby stop all"
            " payments (got true)"
        ],
    ),
    "no failsafe": (
        {"postgres.failsafe_mode": False},
        ["postgres.failsafe_mode: lets an outage of etcd stop all payments (got false)"],
    ),
    "a dot in a bucket": (
        {
            "archive.repositories": [
                {"type": "s3", "endpoint": "s3.example", "bucket": "a.b.c", "uri_style": "host"},
                {"type": "s3", "endpoint": "s3.example", "bucket": "d.e.f", "uri_style": "path"},
            ]
        },
        [
            "archive.repositories[0].bucket: breaks the certificate check in host style, for the"
            ' dot in it (got "a.b.c")'
        ],
    ),
}


@pytest.mark.parametrize(("edits", "said"), WARNINGS.values(), ids=WARNINGS)
def test_what_will_be_regretted_is_a_warning(edits: dict[str, object], said: list[str]) -> None:
    assert [str(warning) for warning in lint_topology(topology(edits))] == said


def test_predictions_are_the_arithmetic_that_the_documentation_gives() -> None:
    assert prediction.election(MongoTimings()) == pytest.approx(6.75)
    ours = MongoTimings(election_timeout=10, heartbeat_interval=2)
    assert prediction.election(ours) == pytest.approx(13.5)
    assert prediction.node_loss(PostgresTimings(), HaproxyChecks()) == 28
    slow = HaproxyChecks(inter=20, fall=3, rise=2)
    assert prediction.node_loss(PostgresTimings(), slow) == 100
    assert prediction.crash(PostgresTimings()) == 24
    assert prediction.crash(PostgresTimings(primary_start_timeout=0)) == 2


@pytest.mark.parametrize("ttl", [20, 60])
@pytest.mark.parametrize("inter", [0.5, 1, 10])
def test_what_the_rules_allow_a_drill_will_not_predict_to_break_the_sla(
    ttl: int, inter: float
) -> None:
    """The engines predict from the live configuration; the rules must not promise more."""
    timings, checks = PostgresTimings(ttl=ttl), HaproxyChecks(inter=inter)
    live = forecast.node_loss({"ttl": ttl, "loop_wait": timings.loop_wait}, checks)
    assert live.first_success is not None
    assert live.first_success.high <= prediction.node_loss(timings, checks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2, "2"),
        (2.5, "2.5"),
        (True, "true"),
        (None, "nothing"),
        ({}, "a mapping"),
        ((), "a list"),
        ("two", '"two"'),
        ('a "b"', r'"a \"b\""'),
        ("é", '"é"'),
        ("a\x1b[2J", r'"a\u001b[2J"'),
        ("x" * 61, f'"{"x" * 60}…"'),
        (Raw("yes"), "yes"),
        (Raw("a\x07"), r'"a\u0007"'),
        ("https://user:password@host/", '"https://***@host/"'),
    ],
)
def test_values_are_shown_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_paths_are_dotted_and_indexed() -> None:
    assert dotted(("mongo", "shards", 1, "members")) == "mongo.shards[1].members"
    assert dotted(("a b", "c")) == '["a b"].c'
    assert str(Problem((), "is empty")) == "is empty"
    assert str(Problem(("a",), "is", NOTHING)) == "a: is"


def test_a_suggestion_needs_something_near() -> None:
    assert suggestion("shard", ["shards", "routers"]) == ' (did you mean "shards"?)'
    assert suggestion("colour", ["shards"]) == ""
