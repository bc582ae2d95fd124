"""The alert rules, tested by Prometheus's own promtool: each fires in its time, and not before."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cluster.metrics import METRICS
from manifests.monitoring import dashboards, rules
from runbooks.catalogue import catalogue
from tests.unit.topology_samples import topology

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (prometheus) is missing")
ALERTS = {alert.name: alert for alert in rules.alerts(topology())}
EVERY = 5  # seconds between two samples, as in the local Prometheus
BEFORE = (
    600  # a case breaks after so many seconds, or so many looks where its alert waits for hours
)
Series = Mapping[str, float]


def node(name: str, kind: str, group: str) -> str:
    return f'skillswap_node_up{{node="{name}",kind="{kind}",group="{group}",zone="a"}}'


SETS = ("shard-a", "shard-b", "config")
HEALTHY: Series = {
    'up{job="skillswap-ops"}': 1,
    **{
        node(f"{group}-{n}", "config server" if group == "config" else "shard", group): 1
        for group in SETS
        for n in (1, 2, 3)
    },
    **{node(f"router-{n}", "router", "router"): 1 for n in (1, 2)},
    **{node(f"etcd-{n}", "etcd", "etcd"): 1 for n in (1, 2, 3)},
    node("etcd-dr-1", "etcd", "etcd-dr"): 1,
    **{node(name, "postgres", "payments"): 1 for name in ("pg1", "pg1-pgbouncer")},
    **{node(name, "postgres", "payments"): 1 for name in ("pgsync1", "pgsync1-pgbouncer")},
    **{node(name, "postgres", "payments-dr"): 1 for name in ("pgdr1", "pgdr1-pgbouncer")},
    node("haproxy-1", "haproxy", "haproxy"): 1,
    **{f'skillswap_mongo_primaries{{set="{name}"}}': 1 for name in SETS},
    **{f'skillswap_mongo_members{{set="{name}"}}': 3 for name in SETS},
    **{f'skillswap_mongo_members_serving{{set="{name}"}}': 3 for name in SETS},
    'skillswap_mongo_replication_lag_seconds{node="shard-a-2",set="shard-a"}': 1,
    'skillswap_mongo_oplog_window_seconds{node="shard-a-2",set="shard-a"}': 7200,
    'skillswap_mongo_router_shards{node="router-1"}': 2,
    'skillswap_node_storage_free_bytes{node="shard-a-1",volume="data"}': 50,
    'skillswap_node_storage_size_bytes{node="shard-a-1",volume="data"}': 100,
    'skillswap_node_storage_free_bytes{node="pg1",volume="wal"}': 50,
    'skillswap_node_storage_size_bytes{node="pg1",volume="wal"}': 100,
    'skillswap_mongo_archive_lag_seconds{node="archiver-1"}': 2,
    'skillswap_mongo_archive_healthy{node="archiver-1"}': 1,
    'skillswap_postgres_primaries{scope="payments"}': 1,
    'skillswap_postgres_primaries{scope="payments-dr"}': 0,
    'skillswap_postgres_is_dr{scope="payments"}': 0,
    'skillswap_postgres_is_dr{scope="payments-dr"}': 1,
    'skillswap_postgres_takes_writes{node="pg1",scope="payments"}': 1,
    'skillswap_postgres_takes_writes{node="pgsync1",scope="payments"}': 0,
    'skillswap_postgres_takes_writes{node="pgdr1",scope="payments-dr"}': 0,
    'skillswap_postgres_synchronous_wanted{scope="payments"}': 1,
    'skillswap_postgres_synchronous_wanted{scope="payments-dr"}': 0,
    'skillswap_postgres_synchronous_standbys{scope="payments"}': 1,
    'skillswap_postgres_synchronous_standbys{scope="payments-dr"}': 0,
    'skillswap_postgres_replication_lag_seconds{node="pgsync1",scope="payments"}': 0,
    'skillswap_postgres_slot_retained_bytes{node="pg1",scope="payments",slot="pgsync1"}': 9,
    'skillswap_postgres_wal_archive_failing{node="pg1",scope="payments"}': 0,
    **{f'skillswap_etcd_has_leader{{node="etcd-{n}",scope="payments"}}': 1 for n in (1, 2)},
    'skillswap_region_stage{stage="home"}': 1,
    'skillswap_region_stage{stage="away"}': 0,
    'skillswap_region_stage{stage="promoting"}': 0,
    "skillswap_restore_half_done": 0,
    'skillswap_pool_clients{node="pg1-pgbouncer",state="waiting"}': 0,
    'skillswap_proxy_leads_to{node="haproxy-1",listener="pooled",server="pg1"}': 1,
    'skillswap_proxy_routes{node="haproxy-1",listener="pooled"}': 1,
    'skillswap_service_instances_wanted{service="auth"}': 2,
    'skillswap_service_instances_ready{service="auth"}': 2,
    "skillswap_service_change_open": 0,
    'skillswap_backup_age_seconds{engine="mongo"}': 3600,
    'skillswap_backups{engine="mongo"}': 3,
    'skillswap_backups{engine="postgres"}': 3,
    "skillswap_records_age_seconds": 30,
    "skillswap_exporter_blind": 0,
    'skillswap_drill_verdict{drill="backup-proof",verdict="fail"}': 0,
    "skillswap_restore_proof_overdue": 0,
    "skillswap_drill_faults_open": 0,
    'skillswap_certificate_days_left{certificate="objects-1"}': 300,
}


@dataclass(frozen=True)
class Case:
    """What changes (series, good value, bad value), and the subject of the alert that fires."""

    alert: str
    changes: Sequence[tuple[str, float, float]]
    labels: Mapping[str, str]


def down(name: str, kind: str, group: str) -> tuple[str, float, float]:
    return (node(name, kind, group), 1, 0)


CASES = (
    Case("ServerDown", [down("haproxy-1", "haproxy", "haproxy")],
         {"node": "haproxy-1", "kind": "haproxy", "group": "haproxy", "zone": "a"}),
    Case("MonitoringBlind", [('up{job="skillswap-ops"}', 1, 0)], {"job": "skillswap-ops"}),
    Case("MonitoringBlind", [("skillswap_records_age_seconds", 30, 601)], {}),
    Case("MonitoringBlind", [("skillswap_exporter_blind", 0, 1)], {}),
    Case("MongoNoPrimary", [('skillswap_mongo_primaries{set="shard-a"}', 1, 0),
                            ('skillswap_mongo_members_serving{set="shard-a"}', 3, 2)],
         {"set": "shard-a"}),
    Case("MongoShardOffline", [('skillswap_mongo_members_serving{set="shard-b"}', 3, 1)],
         {"set": "shard-b"}),
    Case("MongoConfigServersLost", [('skillswap_mongo_members_serving{set="config"}', 3, 1)],
         {"set": "config"}),
    Case("MongoMemberDown", [down("shard-a-2", "shard", "shard-a")],
         {"node": "shard-a-2", "kind": "shard", "group": "shard-a", "zone": "a"}),
    Case("MongoReplicationLag",
         [('skillswap_mongo_replication_lag_seconds{node="shard-a-2",set="shard-a"}', 1, 31)],
         {"node": "shard-a-2", "set": "shard-a"}),
    Case("MongoRouterDown", [down("router-2", "router", "router")],
         {"node": "router-2", "kind": "router", "group": "router", "zone": "a"}),
    Case("MongoRouterUnwell", [('skillswap_mongo_router_shards{node="router-1"}', 2, 1)],
         {"node": "router-1"}),
    Case("MongoDiskFilling",
         [('skillswap_node_storage_free_bytes{node="shard-a-1",volume="data"}', 50, 9)],
         {"node": "shard-a-1", "volume": "data"}),
    Case("MongoArchiveBehind", [('skillswap_mongo_archive_healthy{node="archiver-1"}', 1, 0)],
         {"node": "archiver-1"}),
    Case("MongoArchiveBehind", [('skillswap_mongo_archive_lag_seconds{node="archiver-1"}', 2, 61)],
         {"node": "archiver-1"}),
    Case("PostgresNoPrimary", [('skillswap_postgres_primaries{scope="payments"}', 1, 0)],
         {"scope": "payments"}),
    Case("PostgresSplitBrain",
         [('skillswap_postgres_takes_writes{node="pgsync1",scope="payments"}', 0, 1)], {}),
    Case("PostgresDrNotStandby", [('skillswap_postgres_primaries{scope="payments-dr"}', 0, 1)],
         {"scope": "payments-dr"}),
    Case("PostgresNoSyncStandby",
         [('skillswap_postgres_synchronous_standbys{scope="payments"}', 1, 0)],
         {"scope": "payments"}),
    Case("PostgresReplicationLag",
         [('skillswap_postgres_replication_lag_seconds{node="pgsync1",scope="payments"}', 0, 31)],
         {"node": "pgsync1", "scope": "payments"}),
    Case("PostgresSlotRetainsWal",
         [('skillswap_postgres_slot_retained_bytes{node="pg1",scope="payments",slot="pgsync1"}',
           9, 1.1 * 1024**3)], {"node": "pg1", "scope": "payments", "slot": "pgsync1"}),
    Case("PostgresWalDiskFilling",
         [('skillswap_node_storage_free_bytes{node="pg1",volume="wal"}', 50, 9)],
         {"node": "pg1", "volume": "wal"}),
    Case("PostgresArchiveFailing",
         [('skillswap_postgres_wal_archive_failing{node="pg1",scope="payments"}', 0, 1)],
         {"node": "pg1", "scope": "payments"}),
    Case("EtcdNoQuorum", [down("etcd-1", "etcd", "etcd"), down("etcd-2", "etcd", "etcd")],
         {"group": "etcd"}),
    Case("EtcdNoQuorum",
         [('skillswap_etcd_has_leader{node="etcd-1",scope="payments"}', 1, 0),
          ('skillswap_etcd_has_leader{node="etcd-2",scope="payments"}', 1, 0)],
         {"scope": "payments"}),
    Case("PostgresRegionLost", [down("pgdr1", "postgres", "payments-dr"),
                                down("pgdr1-pgbouncer", "postgres", "payments-dr")],
         {"group": "payments-dr"}),
    Case("PostgresDrLeads", [('skillswap_region_stage{stage="away"}', 0, 1)], {"stage": "away"}),
    Case("RegionChangeHalfDone", [('skillswap_region_stage{stage="promoting"}', 0, 1)],
         {"stage": "promoting"}),
    Case("PostgresRestoreHalfDone", [("skillswap_restore_half_done", 0, 1)], {}),
    Case("PoolExhausted", [('skillswap_pool_clients{node="pg1-pgbouncer",state="waiting"}', 0, 1)],
         {"node": "pg1-pgbouncer", "state": "waiting"}),
    Case("EdgeLeadsElsewhere",
         [('skillswap_postgres_takes_writes{node="pg1",scope="payments"}', 1, 0),
          ('skillswap_postgres_takes_writes{node="pgsync1",scope="payments"}', 0, 1)],
         {"node": "haproxy-1", "listener": "pooled", "server": "pg1"}),
    Case("EdgeLeadsElsewhere",
         [('skillswap_proxy_routes{node="haproxy-1",listener="pooled"}', 1, 0)],
         {"node": "haproxy-1", "listener": "pooled"}),
    Case("ServiceNotReady", [('skillswap_service_instances_ready{service="auth"}', 2, 1)],
         {"service": "auth"}),
    Case("RolloutStuck", [("skillswap_service_change_open", 0, 1)], {}),
    Case("BackupTooOld", [('skillswap_backup_age_seconds{engine="mongo"}', 3600, 9 * 86_400)],
         {"engine": "mongo"}),
    Case("BackupTooOld", [('skillswap_backups{engine="mongo"}', 3, 0)], {"engine": "mongo"}),
    Case("RestoreProofFailed",
         [('skillswap_drill_verdict{drill="backup-proof",verdict="fail"}', 0, 1)],
         {"drill": "backup-proof", "verdict": "fail"}),
    Case("RestoreProofOverdue", [("skillswap_restore_proof_overdue", 0, 1)], {}),
    Case("DrillFaultOpen", [("skillswap_drill_faults_open", 0, 2)], {}),
    Case("CertificateExpires",
         [('skillswap_certificate_days_left{certificate="objects-1"}', 300, 9)],
         {"certificate": "objects-1"}),
)  # fmt: skip
# Its condition is that something has not grown for ten minutes: its case is by itself.
OPLOG = "MongoOplogWindowShort"


def promtest(
    folder: Path, tests: Sequence[object], every: int = EVERY
) -> "subprocess.CompletedProcess[str]":
    """Run promtool on these cases of the rules."""
    (folder / "rules.yml").write_text(rules.render(topology()), "utf-8")
    document = {"rule_files": ["rules.yml"], "evaluation_interval": f"{every}s", "tests": tests}
    (folder / "test.yml").write_text(json.dumps(document), "utf-8")  # JSON is YAML
    return promtool(folder, "test", "rules", "test.yml")


def promtool(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(PROMTOOL), *words], cwd=folder, capture_output=True, text=True, check=False
    )


def count(labels: Mapping[str, str], seconds: int, number: int) -> Mapping[str, object]:
    """So many alerts with these labels fire at that second."""
    every = {**labels, "alertstate": "firing"}
    inner = ",".join(f'{name}="{value}"' for name, value in every.items())
    return {
        "expr": f"count(ALERTS{{{inner}}}) or vector(0)",
        "eval_time": f"{seconds}s",
        "exp_samples": [{"labels": "{}", "value": number}],
    }


def case(one: Case, every: int) -> Mapping[str, object]:
    """It does not fire just before its time, and just after it does, alone of its kind."""
    wait = int(ALERTS[one.alert].seconds)
    broken = BEFORE // EVERY * every
    changed = {name: (good, bad) for name, good, bad in one.changes}
    inputs = []
    for name, value in {**HEALTHY, **{name: good for name, (good, _) in changed.items()}}.items():
        bad = changed.get(name, (value, value))[1]
        values = f"{value}x{broken // every - 1} {bad}x{wait // every + 2}"
        inputs.append({"series": name, "values": values})
    kind = {"alertname": one.alert}
    return {
        "interval": f"{every}s",
        "input_series": inputs,
        "promql_expr_test": [
            count(kind, broken + wait - every, 0),
            count(kind, broken + wait, 1),
            count({**kind, **one.labels}, broken + wait, 1),
        ],
    }


def test_every_alert_has_a_case() -> None:
    assert {one.alert for one in CASES} | {OPLOG} == set(ALERTS)


@needs_promtool
def test_each_fires_in_its_time_and_names_what_it_is_about(tmp_path: Path) -> None:
    for every, least, most in ((EVERY, 0, 120), (60, 121, 3600), (300, 3601, 86_400)):
        cases = [one for one in CASES if least <= ALERTS[one.alert].seconds <= most]
        ended = promtest(tmp_path, [case(one, every) for one in cases], every)
        assert ended.returncode == 0, ended.stderr + ended.stdout


@needs_promtool
def test_a_healthy_cluster_is_silent(tmp_path: Path) -> None:
    looks = 3 * 86_400 // 600
    inputs = [{"series": name, "values": f"{value}x{looks}"} for name, value in HEALTHY.items()]
    silence = [count({}, 600 * look, 0) for look in (0, 1, 10, looks)]
    test = {"interval": "600s", "input_series": inputs, "promql_expr_test": silence}
    ended = promtest(tmp_path, [test], 600)
    assert ended.returncode == 0, ended.stderr + ended.stdout


@needs_promtool
@pytest.mark.parametrize("engine", ["mongo", "postgres"])
def test_backups_of_which_nothing_is_known(tmp_path: Path, engine: str) -> None:
    known = {name: value for name, value in HEALTHY.items() if f'engine="{engine}"' not in name}
    inputs = [{"series": name, "values": f"{value}x20"} for name, value in known.items()]
    fires = [count({"alertname": "BackupTooOld", "engine": engine}, 600, 1), count({}, 600, 1)]
    test = {"interval": "60s", "input_series": inputs, "promql_expr_test": fires}
    ended = promtest(tmp_path, [test], 60)
    assert ended.returncode == 0, ended.stderr + ended.stdout


@needs_promtool
@pytest.mark.parametrize(
    ("values", "fires"),
    [
        ("1800x300", 1),
        ("1800x180 stale 1800x150", 1),
        ("100+5x169 100+5x169", 1),  # a full one, which loses fourteen minutes at once
        ("100+5x300", 0),
    ],
)
def test_a_short_oplog_is_a_concern_where_it_does_not_grow(
    tmp_path: Path, values: str, fires: int
) -> None:
    """That of a young cluster is short too, and grows as time passes. A missed look is none."""
    series = 'skillswap_mongo_oplog_window_seconds{node="shard-a-2",set="shard-a"}'
    kind = {"alertname": OPLOG}
    test = {
        "interval": "5s",
        "input_series": [{"series": series, "values": values}],
        "promql_expr_test": [
            count(kind, 540, 0),
            count({**kind, "node": "shard-a-2"}, 1400, fires),
        ],
    }
    ended = promtest(tmp_path, [test])
    assert ended.returncode == 0, ended.stderr + ended.stdout


@needs_promtool
def test_every_query_of_a_dashboard_parses(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(dashboards.expressions())
    ]
    document = {"groups": [{"name": "dashboards", "rules": recorded}]}
    (tmp_path / "all.yml").write_text(yaml.safe_dump(document), "utf-8")
    ended = promtool(tmp_path, "check", "rules", "all.yml")
    assert ended.returncode == 0, ended.stderr + ended.stdout


def test_only_metrics_that_there_are_are_asked_for() -> None:
    known = {metric.exported for metric in METRICS}
    texts = [*dashboards.expressions(), *(alert.expression for alert in ALERTS.values())]
    named = {name for text in texts for name in re.findall(r"skillswap_\w+", text)}
    assert named <= known
    # What nobody looks at need not be measured.
    assert known - named <= {
        "skillswap_patroni_paused",
        "skillswap_patroni_unlocked",
        "skillswap_postgres_streams",
        "skillswap_postgres_members",
        "skillswap_mongo_router_shards",
        "skillswap_etcd_storage_bytes",
    }


def test_thresholds_follow_the_promises() -> None:
    strict = topology({"sla.mongo.rpo": 100, "sla.mongo.election": 20, "postgres.wal_volume": 512})
    found = {alert.name: alert for alert in rules.alerts(strict)}
    assert found["MongoReplicationLag"].expression.endswith("> 10.0")
    assert found["MongoNoPrimary"].seconds == 20
    assert found["PostgresSlotRetainsWal"].expression.endswith(f"> {128 * 1024**2}")
    assert ALERTS["PostgresSlotRetainsWal"].expression.endswith(f"> {1024**3}")


def test_dashboards_fill_their_rows_and_have_no_two_panels_in_one_place() -> None:
    for dashboard in dashboards.DASHBOARDS:
        page = json.loads(dashboards.render(dashboard))
        assert page["uid"] == dashboard.uid
        taken: set[tuple[int, int]] = set()
        for panel in page["panels"]:
            place = panel["gridPos"]
            cells = {(x, place["y"]) for x in range(place["x"], place["x"] + place["w"])}
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < dashboards.WIDTH
            taken |= cells
        rows = {y for _, y in taken}
        assert all(sum(y == row for _, y in taken) == dashboards.WIDTH for row in rows), dashboard


def test_every_alert_is_answered_by_a_runbook_that_names_it() -> None:
    pages = catalogue()
    for alert in ALERTS.values():
        assert alert.runbook in pages, alert.name
    named = {name: page for page, book in pages.items() for name in book.front.alerts}
    assert {name: ALERTS[name].runbook for name in named if name in ALERTS} == {
        name: page for name, page in named.items() if name in ALERTS
    }
    # What no metric tells; `doctor` does.
    assert set(named) - set(ALERTS) <= {"ClockSkew", "MongoMemberCorrupted"}
