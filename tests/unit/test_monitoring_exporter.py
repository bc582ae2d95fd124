"""What the nodes' answers come to, and that one which hangs holds nobody up."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from bson import Timestamp
from prometheus_client import CollectorRegistry, generate_latest
from pymongo.errors import NetworkTimeout, OperationFailure, PyMongoError

from cluster.drill.pressure import Reading as Pressure
from cluster.drill.verdict import Conclusion
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.metrics import BY_NAME, METRICS, NODE, Reading, Type, values
from manifests.monitoring import local
from mongo import metrics as mongo
from postgres import metrics as postgres
from postgres import patroni
from postgres.haproxy import parse_statistics
from postgres.scopes import dr_scope, primary_scope
from skillswap_ops.monitoring import records
from skillswap_ops.monitoring.exporter import Exporter, Looker, Unprotected, families
from tests.unit import mongo_samples, postgres_samples

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


def node(name: str, kind: Kind = Kind.SHARD, group: str = "shard-a") -> Node:
    return Node(name, kind, group, "eu-west", "eu-west-a", "127.72.1.1")


@dataclass
class FakeReader:
    node: Node
    ask: Callable[[], Sequence[Reading]] = lambda: ()
    asked: int = 0
    closed: bool = False

    def read(self) -> Sequence[Reading]:
        self.asked += 1
        return self.ask()

    def close(self) -> None:
        self.closed = True


def refuse() -> Sequence[Reading]:
    raise UnreachableError("Connection refused")


def broken() -> Sequence[Reading]:
    raise KeyError("a defect of ours")


def up(readings: Sequence[Reading]) -> dict[str, float]:
    return {labels[0]: value for labels, value in values(readings, "node_up").items()}


def test_who_answers_is_up_with_what_it_said_and_who_does_not_is_down() -> None:
    said = Reading("mongo_connections", 3, {"node": "shard-a-1"})
    readers = [
        FakeReader(node("shard-a-1"), lambda: [said]),
        FakeReader(node("shard-a-2"), refuse),
        FakeReader(node("shard-a-3"), broken),
    ]
    looker = Looker(readers)
    found = looker.look()
    assert up(found) == {"shard-a-1": 1, "shard-a-2": 0, "shard-a-3": 0}
    assert said in found
    answered = values(found, "node_answer_seconds")
    assert list(answered) == [("shard-a-1", "shard", "shard-a", "eu-west", "eu-west-a")]
    looker.close()
    assert all(reader.closed for reader in readers)


def test_one_that_hangs_costs_one_deadline_once_and_no_answer_of_another() -> None:
    over = threading.Event()

    def hang() -> Sequence[Reading]:
        over.wait(30)
        return ()

    frozen, well = FakeReader(node("shard-a-1"), hang), FakeReader(node("shard-a-2"))
    looker = Looker([frozen, well], deadline=0.3)
    try:
        began = time.monotonic()
        first = looker.look()
        assert 0.25 < time.monotonic() - began < 5
        assert up(first) == {"shard-a-1": 0, "shard-a-2": 1}
        for _ in range(5):
            began = time.monotonic()
            again = looker.look()
            assert time.monotonic() - began < 0.25, "its old question was waited for again"
            assert up(again) == {"shard-a-1": 0, "shard-a-2": 1}
            assert values(again, "exporter_late_readers") == {(): 1}
        assert (frozen.asked, well.asked) == (1, 6)
        over.set()
        deadline = time.monotonic() + 10
        while up(looker.look())["shard-a-1"] == 0:
            assert time.monotonic() < deadline
        assert values(looker.look(), "exporter_late_readers") == {(): 0}
    finally:
        over.set()
        looker.close()


def test_one_that_fails_slowly_is_hardly_waited_for_again_and_its_return_is_seen() -> None:
    """As a frozen server does, at which each question ends with the driver's own deadline."""
    ill = [True]

    def fail() -> Sequence[Reading]:
        if ill:
            time.sleep(0.6)
            raise UnreachableError("no answer")
        return ()

    looker = Looker([FakeReader(node("shard-a-1"), fail), FakeReader(node("shard-a-2"))])
    try:
        looks = []
        for _ in range(4):
            began = time.monotonic()
            assert up(looker.look()) == {"shard-a-1": 0, "shard-a-2": 1}
            looks.append(time.monotonic() - began)
            time.sleep(0.6)
        assert looks[0] > 0.55
        assert max(looks[1:]) < 0.5, looks
        ill.clear()
        deadline = time.monotonic() + 10
        while up(looker.look())["shard-a-1"] == 0:
            assert time.monotonic() < deadline
    finally:
        looker.close()


class Machine:
    """Two looks at a machine's processors: what waited, what was idle meanwhile."""

    def __init__(self, waited: float, idle: float) -> None:
        self.looks = 0
        self._each = (waited, idle)

    def __call__(self) -> Pressure:
        self.looks += 1
        waited, idle = self._each
        return Pressure(waited * self.looks, idle * self.looks)


@pytest.mark.parametrize(
    ("waited", "silent", "blind"),
    [(1.0, 3, True), (1.0, 2, False), (0.05, 3, False), (1.0, 0, False)],
)
def test_where_the_machine_is_overloaded_and_most_are_silent_nobody_is_called_down(
    waited: float, silent: int, blind: bool
) -> None:
    def slow() -> Sequence[Reading]:
        time.sleep(0.3)
        raise UnreachableError("no answer")

    readers = [
        FakeReader(node(f"shard-a-{n}"), slow if n <= silent else lambda: ()) for n in range(1, 5)
    ]
    looker = Looker(readers, pressure=Machine(waited, 0.0))
    try:
        found = looker.look()
    finally:
        looker.close()
    assert values(found, "exporter_blind") == {(): blind}
    assert bool(up(found)) is not blind
    assert values(found, "exporter_read_seconds")


def test_closed_ports_are_down_however_loaded_the_machine_is() -> None:
    looker = Looker([FakeReader(node("shard-a-1"), refuse)], pressure=Machine(1.0, 0.0))
    try:
        assert up(looker.look()) == {"shard-a-1": 0}
    finally:
        looker.close()


def test_a_blind_look_says_nothing_of_sets_and_scopes(tmp_path: Path) -> None:
    context = mongo_samples.context(tmp_path)

    def slow() -> Sequence[Reading]:
        time.sleep(0.3)
        raise UnreachableError("no answer")

    exporter = Exporter(context, [FakeReader(node("shard-a-1"), slow)], Machine(1.0, 0.0))
    try:
        found = {one.metric for one in exporter.readings()}
    finally:
        exporter.close()
    assert "exporter_blind" in found
    assert not found & {"mongo_primaries", "mongo_members_serving", "postgres_primaries"}


# MongoDB

OLD, NEW = Timestamp(1000, 1), Timestamp(4600, 1)


def test_a_members_answers() -> None:
    status = mongo_samples.answer("status_secondary")
    server = {
        "connections": {"current": 7},
        "electionMetrics": {
            "stepUpCmd": {"called": 1, "successful": 1},
            "electionTimeout": {"called": 2, "successful": 1},
            "averageCatchUpOps": 0.0,
        },
        "opLatencies": {
            "reads": {"latency": 2_500_000, "ops": 10},
            "writes": {"latency": 0, "ops": 0},
        },
    }
    status["optimes"]["appliedOpTime"]["ts"] = NEW
    found = mongo.of_member(node("shard-a-2"), status, server, {"ts": OLD}, 5e9)
    here = {"node": "shard-a-2"}
    assert values(found, "mongo_member_state") == {("shard-a-2", "shard-a"): 2}
    assert values(found, "mongo_oplog_window_seconds") == {("shard-a-2", "shard-a"): 3600}
    assert values(found, "mongo_elections_called") == {("shard-a-2", "shard-a"): 3}
    assert Reading("mongo_connections", 7, here) in found
    assert values(found, "mongo_operation_seconds") == {
        ("shard-a-2", "read"): 2.5,
        ("shard-a-2", "write"): 0,
    }
    assert values(found, "mongo_storage_bytes") == {("shard-a-2", "shard-a"): 5e9}
    bare = mongo.of_member(node("shard-a-2"), status, {"connections": {"current": 0}}, None, 0)
    assert not values(bare, "mongo_oplog_window_seconds")


def member(name: str, state: int, term: int = 3, applied: float = 100) -> list[Reading]:
    labels = {"node": name, "set": "shard-a"}
    return [
        Reading("mongo_member_state", state, labels),
        Reading(mongo.TERM, term, labels),
        Reading(mongo.APPLIED, applied, labels),
    ]


def test_a_set_from_its_members() -> None:
    said = [*member("a-1", 1), *member("a-2", 2, applied=97.5), *member("a-3", 2, applied=101)]
    found = mongo.of_set("shard-a", 3, said)
    assert values(found, "mongo_primaries") == {("shard-a",): 1}
    assert values(found, "mongo_members_serving") == {("shard-a",): 3}
    assert values(found, "mongo_term") == {("shard-a",): 3}
    assert values(found, "mongo_replication_lag_seconds") == {
        ("a-2", "shard-a"): 2.5,
        ("a-3", "shard-a"): 0,
    }


def test_a_stale_primary_does_not_count_and_a_member_that_copies_lags() -> None:
    said = [*member("a-1", 1, term=3), *member("a-2", 1, term=4), *member("a-3", 5, applied=40)]
    found = mongo.of_set("shard-a", 3, said)
    assert values(found, "mongo_primaries") == {("shard-a",): 1}
    assert values(found, "mongo_members_serving") == {("shard-a",): 2}
    assert values(found, "mongo_replication_lag_seconds") == {("a-3", "shard-a"): 60}


def test_a_set_of_which_nobody_answers_is_counted() -> None:
    found = mongo.of_set("shard-a", 3, member("b-1", 1)[:0])
    assert values(found, "mongo_primaries") == {("shard-a",): 0}
    assert values(found, "mongo_members_serving") == {("shard-a",): 0}
    assert values(found, "mongo_members") == {("shard-a",): 3}
    arbiter = mongo.of_arbiter(node("shard-a-arbiter", Kind.ARBITER))
    assert values(mongo.of_set("shard-a", 3, arbiter), "mongo_members_serving") == {("shard-a",): 1}


# PostgreSQL

ROW = dict(zip(postgres.STATE_COLUMNS, (
    "0", "3", "", "1", "120", "4", "1", "61.5", "268435456", "9000000", "12", "100", "5000", "7",
    "1", "2.5",
), strict=True))  # fmt: skip


def test_a_primary_and_a_standby() -> None:
    found = postgres.of_member("pg1", "payments", ROW)
    at = ("pg1", "payments")
    for metric, value in {
        "postgres_takes_writes": 1,
        "postgres_timeline": 3,
        "postgres_wal_archived": 120,
        "postgres_wal_archive_failures": 4,
        "postgres_wal_archive_failing": 1,
        "postgres_wal_archive_age_seconds": 61.5,
        "postgres_wal_bytes": 2**28,
        "postgres_connections": 12,
        "postgres_oldest_transaction_seconds": 2.5,
    }.items():
        assert values(found, metric) == {at: value}, metric
    assert not values(found, "postgres_replication_lag_seconds")

    standby = postgres.of_member("pgsync1", "payments", ROW | {"recovers": "1", "lag": "0.25"})
    assert values(standby, "postgres_takes_writes") == {("pgsync1", "payments"): 0}
    assert values(standby, "postgres_replication_lag_seconds") == {("pgsync1", "payments"): 0.25}
    assert not values(standby, "postgres_wal_archive_failing")


def test_what_has_no_value_yet_has_no_reading() -> None:
    found = postgres.of_member("pg1", "payments", ROW | {"archive_age": ""})
    assert not values(found, "postgres_wal_archive_age_seconds")


def writes(name: str, scope: str, takes: int, synchronous: int = 0) -> list[Reading]:
    labels = {"node": name, "scope": scope}
    return [
        Reading("postgres_takes_writes", takes, labels),
        Reading(postgres.SYNCHRONOUS, synchronous, labels),
    ]


def test_a_scope_from_its_members(tmp_path: Path) -> None:
    context = postgres_samples.context(tmp_path)
    scope, dr = primary_scope(context), dr_scope(context)
    assert dr
    said = [*writes("pg1", "payments", 1, 1), *writes("pgsync1", "payments", 0, 9)]
    found = postgres.of_scope(scope, said, synchronous=True)
    assert values(found, "postgres_primaries") == {("payments",): 1}
    assert values(found, "postgres_synchronous_standbys") == {("payments",): 1}
    assert values(found, "postgres_synchronous_wanted") == {("payments",): 1}
    follows = postgres.of_scope(dr, writes("pgdr1", dr.name, 0), synchronous=True)
    assert values(follows, "postgres_is_dr") == {(dr.name,): 1}
    assert values(follows, "postgres_synchronous_wanted") == {(dr.name,): 0}
    both = postgres.of_scope(scope, [*said, *writes("pgsync1", "payments", 1)], synchronous=False)
    assert values(both, "postgres_primaries") == {("payments",): 2}
    assert values(both, "postgres_synchronous_wanted") == {("payments",): 0}


def test_slots_standbys_pools_routes_and_patroni() -> None:
    slots = postgres.of_slots("pg1", "payments", (("payments_dr", "0", "1048576"),))
    assert values(slots, "postgres_slot_retained_bytes") == {
        ("pg1", "payments", "payments_dr"): 2**20
    }
    assert values(slots, "postgres_slot_active") == {("pg1", "payments", "payments_dr"): 0}
    behind = postgres.of_standbys("payments", (("pgsync1", "4096"),))
    assert values(behind, "postgres_replication_lag_bytes") == {("pgsync1", "payments"): 4096}

    console = ("pgbouncer", "pgbouncer", *"1", *"00000000000", "0", "0", "statement")
    pool = ("payments", "payments_app", "4", "2", *"000000000", "9", "15", "transaction")
    newer = ("payments", "other", "1", "0", *"000000000", "3", "0", "session", "round-robin")
    found = postgres.of_pools("pg1-pgbouncer", (console, pool, newer))
    assert values(found, "pool_clients") == {
        ("pg1-pgbouncer", "active"): 5,
        ("pg1-pgbouncer", "waiting"): 2,
    }
    assert values(found, "pool_wait_seconds") == {("pg1-pgbouncer",): 9}

    routes = postgres.of_routes("haproxy-1", parse_statistics(postgres_samples.text("haproxy.csv")))
    assert ("haproxy-1", "pooled", "pg1") in values(routes, "proxy_leads_to")
    assert values(routes, "proxy_routes")["haproxy-1", "pooled"] == 1

    state = patroni.parse_state(postgres_samples.answer("standby"))
    streams = postgres.of_patroni("pgsync1", "payments", state)
    assert values(streams, "postgres_streams") == {("pgsync1", "payments"): 1}
    assert values(streams, "patroni_paused") == {("pgsync1", "payments"): 0}


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Watched:
    """An `Unprotected` and its clock."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.sums = Unprotected(self.clock)

    def look(self, after: float, primaries: int, standbys: int, wanted: int = 1) -> float:
        self.clock.now += after
        here = {"scope": "payments"}
        [found] = self.sums.add(
            [
                Reading("postgres_primaries", primaries, here),
                Reading("postgres_synchronous_standbys", standbys, here),
                Reading("postgres_synchronous_wanted", wanted, here),
            ]
        )
        return found.value


def test_unprotected_time_is_with_a_primary_and_without_a_standby() -> None:
    watched = Watched()
    assert watched.look(0, 1, 1) == 0
    assert watched.look(5, 1, 0) == 0
    assert watched.look(5, 1, 0) == 5
    assert watched.look(5, 0, 0) == 10
    assert watched.look(60, 0, 0) == 10
    assert watched.look(5, 1, 1) == 10
    assert watched.look(5, 1, 0, wanted=0) == 10
    assert watched.look(5, 1, 1) == 10


# What is written down


def test_backups() -> None:
    def backup(hours: float, *, good: bool = True) -> SimpleNamespace:
        return SimpleNamespace(good=good, stopped=NOW - timedelta(hours=hours))

    windows = [SimpleNamespace(last=NOW - timedelta(seconds=40))]
    several = [backup(30), backup(6), backup(1, good=False)]
    found = records.of_backups("mongo", several, windows, NOW)  # type: ignore[arg-type]
    assert values(found, "backups") == {("mongo",): 2}
    assert values(found, "backup_age_seconds") == {("mongo",): 6 * 3600}
    assert values(found, "backup_window_end_age_seconds") == {("mongo",): 40}
    assert values(records.of_backups("mongo", [], [], NOW), "backups") == {("mongo",): 0}


def test_drills() -> None:
    def run(hours: float, verdict: Conclusion) -> SimpleNamespace:
        conclusive = verdict is not Conclusion.INCONCLUSIVE
        began = NOW - timedelta(hours=hours)
        return SimpleNamespace(drill="pg-pitr", verdict=verdict, conclusive=conclusive, began=began)

    runs = [run(9, Conclusion.FAIL), run(2, Conclusion.PASS), run(1, Conclusion.INCONCLUSIVE)]
    found = records.of_runs(runs, NOW)  # type: ignore[arg-type]
    verdicts = values(found, "drill_verdict")
    assert verdicts["pg-pitr", Conclusion.INCONCLUSIVE.value] == 1
    assert sum(verdicts.values()) == 1
    assert values(found, "drill_age_seconds") == {("pg-pitr",): 7200}


# What Prometheus gets


def test_the_catalogue_is_one_metric_a_name_with_help() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert all(metric.help.endswith(".") for metric in METRICS)
    assert all(
        metric.exported.endswith("_total") == (metric.type is Type.COUNTER) for metric in METRICS
    )
    assert BY_NAME["node_up"].labels == NODE


def test_the_text_that_is_scraped(tmp_path: Path) -> None:
    readings = [
        Reading("mongo_operations", 4, {"type": "read", "node": "shard-a-1"}),
        Reading("mongo_operations", 5, {"node": "shard-a-1", "type": "read"}),
        Reading(mongo.APPLIED, 1, {"node": "shard-a-1"}),
    ]
    [family] = families(readings)
    [sample] = family.samples
    assert (sample.name, sample.value) == ("skillswap_mongo_operations_total", 5)

    context = postgres_samples.context(tmp_path)
    exporter = Exporter(context, [FakeReader(node("shard-a-1"), refuse)])
    registry = CollectorRegistry()
    registry.register(exporter)
    text = generate_latest(registry).decode()
    exporter.close()
    assert (
        'skillswap_node_up{group="shard-a",kind="shard",node="shard-a-1",region="eu-west",'
        'zone="eu-west-a"} 0.0'
    ) in text
    assert 'skillswap_mongo_primaries{set="shard-b"} 0.0' in text
    assert 'skillswap_postgres_primaries{scope="payments"} 0.0' in text


def test_alerts_as_prometheus_answers() -> None:
    answer: dict[str, object] = {
        "status": "success",
        "data": {
            "alerts": [
                {
                    "labels": {"alertname": "MongoMemberDown", "severity": "warning"},
                    "annotations": {"summary": "shard-a-2 …", "runbook": "mongo-primary-lost"},
                    "state": "pending",
                    "activeAt": "2026-11-26T05:00:00Z",
                    "value": "0e+00",
                },
                {
                    "labels": {"alertname": "PostgresNoPrimary", "severity": "critical"},
                    "annotations": {"summary": "payments …", "runbook": "pg-primary-lost"},
                    "state": "firing",
                    "activeAt": "2026-11-26T05:01:00Z",
                },
            ]
        },
    }
    found = local.parse_alerts(answer)
    assert [(one.name, one.state, one.runbook) for one in found] == [
        ("PostgresNoPrimary", "firing", "pg-primary-lost"),
        ("MongoMemberDown", "pending", "mongo-primary-lost"),
    ]
    assert local.parse_alerts({}) == ()


@pytest.mark.parametrize("name", ["exporter-1", "prometheus-1"])
def test_the_monitoring_servers(tmp_path: Path, name: str) -> None:
    context = postgres_samples.context(tmp_path)
    [server] = [one for one in local.servers(context) if one.name == name]
    assert server.node.address.startswith("127.77.78.")
    assert server.as_operator == (name == "exporter-1")
    secrets = [secret.get_secret_value() for secret in context.secrets.known()]
    assert not any(secret in word for secret in secrets for word in server.argv)
    assert not local.is_up(context)
    context.layout.node(local.prometheus_node(context)).mkdir(parents=True)
    assert local.is_up(context)


Answer = Mapping[str, object] | PyMongoError


@dataclass
class FakeRouter:
    """A router's client: what its `admin` database answers, or raises."""

    answer: Answer

    @property
    def admin(self) -> "FakeRouter":
        return self

    def command(self, _name: str) -> Mapping[str, object]:
        if isinstance(self.answer, PyMongoError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "shards"),
    [
        ({"shards": [{}, {}]}, 2),
        (OperationFailure("cannot look up monitor@admin: Authentication failed.", 133), 0),
    ],
)
def test_a_router_that_answers_no_knows_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, shards: int
) -> None:
    here = postgres_samples.context(tmp_path)
    router = here.inventory.of(Kind.ROUTER)[0]
    monkeypatch.setattr("mongo.metrics.knock", lambda *_: None)
    monkeypatch.setattr("mongo.metrics.open_client", lambda *_, **__: FakeRouter(answer))
    [reader] = [one for one in mongo.readers(here) if one.node == router]
    assert values(reader.read(), "mongo_router_shards") == {(router.name,): shards}


def test_a_router_that_says_nothing_in_time_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = postgres_samples.context(tmp_path)
    router = here.inventory.of(Kind.ROUTER)[0]
    silent = FakeRouter(NetworkTimeout("timed out"))
    monkeypatch.setattr("mongo.metrics.knock", lambda *_: None)
    monkeypatch.setattr("mongo.metrics.open_client", lambda *_, **__: silent)
    [reader] = [one for one in mongo.readers(here) if one.node == router]
    with pytest.raises(UnreachableError):
        reader.read()
