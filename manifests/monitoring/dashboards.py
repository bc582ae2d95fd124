"""Grafana's dashboards, as the JSON that its provisioning and its import take.

The JSON model: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 24, 7  # of the grid, and of a panel in it
SOURCE = {"type": "prometheus", "uid": "${source}"}
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]


@dataclass(frozen=True)
class Panel:
    """A graph (or, with `stat`, the last value of each series). `width` of 24 columns."""

    title: str
    queries: tuple[tuple[str, str], ...]  # expression, legend
    unit: str = "short"
    width: int = 8
    stat: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A page."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def _panel(title: str, *queries: tuple[str, str], unit: str = "short", width: int = 8) -> Panel:
    return Panel(title, queries, unit, width)


def _stat(title: str, *queries: tuple[str, str], unit: str = "short", width: int = 4) -> Panel:
    return Panel(title, queries, unit, width, stat=True)


TOPOLOGY = Dashboard(
    "skillswap-topology",
    "SkillSwap: topology",
    (
        _stat("Nodes down", ("count(skillswap_node_up == 0) or vector(0)", "down")),
        _stat("Alerts firing", ('count(ALERTS{alertstate="firing"}) or vector(0)', "firing")),
        _stat("MongoDB primaries", ("skillswap_mongo_primaries", "{{set}}"), width=8),
        _stat("PostgreSQL primaries", ("skillswap_postgres_primaries", "{{scope}}"), width=8),
        _panel("Which nodes answer", ("skillswap_node_up", "{{node}}"), width=24),
        _panel("How fast they answer", ("skillswap_node_answer_seconds", "{{node}}"), unit="s",
               width=12),
        _panel("Where the proxies lead", ("skillswap_proxy_leads_to",
               "{{node}} {{listener}} → {{server}}"), width=12),
        _panel("etcd", ("skillswap_etcd_has_leader", "{{node}} knows a leader"),
               ("changes(skillswap_etcd_term[5m])", "{{node}} elections in 5 min")),
        _panel("Free space", (
            "skillswap_node_storage_free_bytes / skillswap_node_storage_size_bytes",
            "{{node}} {{volume}}"), unit="percentunit"),
        _panel("Services ready", ("skillswap_service_instances_ready", "{{service}}")),
    ),
)  # fmt: skip
MONGODB = Dashboard(
    "skillswap-mongodb",
    "SkillSwap: MongoDB",
    (
        _stat("Routers", ("skillswap_mongo_router_info", "{{node}}: {{router}}"), width=8),
        _stat("Members serving", ("skillswap_mongo_members_serving", "{{set}}"), width=8),
        _stat("Archive lag", ("skillswap_mongo_archive_lag_seconds", "{{node}}"), unit="s",
              width=8),
        _panel("Member state (1 primary, 2 secondary)", ("skillswap_mongo_member_state",
               "{{node}}")),
        _panel("Elections", ("changes(skillswap_mongo_term[5m])", "{{set}}: terms in 5 min"),
               ("increase(skillswap_mongo_elections_called_total[5m])", "{{node}}: called")),
        _panel("Replication lag", ("skillswap_mongo_replication_lag_seconds", "{{node}}"),
               unit="s"),
        _panel("Latency", (
            "rate(skillswap_mongo_operation_seconds_total[1m])"
            " / rate(skillswap_mongo_operations_total[1m])", "{{node}} {{type}}"), unit="s"),
        _panel("Operations", ("rate(skillswap_mongo_operations_total[1m])", "{{node}} {{type}}"),
               unit="ops"),
        _panel("Connections", ("skillswap_mongo_connections", "{{node}}")),
        _panel("Oplog window", ("skillswap_mongo_oplog_window_seconds", "{{node}}"), unit="s",
               width=12),
        _panel("Data", ("skillswap_mongo_storage_bytes", "{{node}}"), unit="bytes", width=12),
    ),
)  # fmt: skip
POSTGRESQL = Dashboard(
    "skillswap-postgresql",
    "SkillSwap: PostgreSQL",
    (
        _stat("Takes writes", ("skillswap_postgres_takes_writes", "{{node}}"), width=8),
        _stat("Synchronous standbys", ("skillswap_postgres_synchronous_standbys", "{{scope}}"),
              width=8),
        _stat("Timeline", ("skillswap_postgres_timeline", "{{node}}"), width=8),
        _panel("Lag", ("skillswap_postgres_replication_lag_seconds", "{{node}}"), unit="s"),
        _panel("WAL not replayed", ("skillswap_postgres_replication_lag_bytes", "{{node}}"),
               unit="bytes"),
        _panel("Unprotected", ("increase(skillswap_postgres_unprotected_seconds_total[5m])",
               "{{scope}}: seconds in 5 min"), unit="s"),
        _panel("Archive", ("skillswap_postgres_wal_archive_age_seconds", "{{node}}: last file"),
               unit="s"),
        _panel("Archive failures", ("increase(skillswap_postgres_wal_archive_failures_total[5m])",
               "{{node}}"), ("skillswap_postgres_wal_archive_failing", "{{node}} fails")),
        _panel("WAL archived", ("rate(skillswap_postgres_wal_archived_total[5m])", "{{node}}")),
        _panel("WAL on disk", ("skillswap_postgres_wal_bytes", "{{node}}"), unit="bytes"),
        _panel("WAL held back by slots", ("skillswap_postgres_slot_retained_bytes",
               "{{node}} {{slot}}"), unit="bytes"),
        _panel("Slots in use", ("skillswap_postgres_slot_active", "{{node}} {{slot}}")),
        _panel("Transactions", ("rate(skillswap_postgres_commits_total[1m])", "{{node}} commits"),
               ("rate(skillswap_postgres_rollbacks_total[1m])", "{{node}} rollbacks"),
               ("rate(skillswap_postgres_deadlocks_total[1m])", "{{node}} deadlocks"), unit="ops"),
        _panel("Connections", ("skillswap_postgres_connections", "{{node}}"),
               ("skillswap_postgres_connections_allowed", "{{node}} at most")),
        _panel("Pools", ("skillswap_pool_clients", "{{node}} {{state}}"),
               ("skillswap_pool_wait_seconds", "{{node}}: longest wait, s")),
        _panel("Oldest transaction", ("skillswap_postgres_oldest_transaction_seconds", "{{node}}"),
               unit="s", width=12),
        _panel("Data", ("skillswap_postgres_database_bytes", "{{node}}"), unit="bytes", width=12),
    ),
)  # fmt: skip
SLA = Dashboard(
    "skillswap-sla",
    "SkillSwap: promises",
    (
        _stat("PostgreSQL unprotected today",
              ("increase(skillswap_postgres_unprotected_seconds_total[1d])", "{{scope}}"), unit="s",
              width=6),
        _stat("Restorable until", ("skillswap_backup_window_end_age_seconds", "{{engine}}: ago"),
              unit="s", width=6),
        _stat("Backup age", ("skillswap_backup_age_seconds", "{{engine}}"), unit="s", width=6),
        _stat("Certificates end in", ("skillswap_certificate_days_left", "{{certificate}}"),
              unit="d", width=6),
        _panel("Without a MongoDB primary", (
            "1 - avg_over_time((skillswap_mongo_primaries > bool 0)[1h:])",
            "{{set}}: share of the last hour"), unit="percentunit"),
        _panel("Without a PostgreSQL primary", (
            "1 - avg_over_time((skillswap_postgres_primaries > bool 0)[1h:])"
            " unless on (scope) skillswap_postgres_is_dr == 1",
            "{{scope}}: share of the last hour"), unit="percentunit"),
        _panel("MongoDB archive (RPO)", ("skillswap_mongo_archive_lag_seconds", "{{node}}"),
               unit="s"),
        _panel("Drills: last verdict", ("skillswap_drill_verdict == 1", "{{drill}}: {{verdict}}"),
               width=12),
        _panel("Drills: age", ("skillswap_drill_age_seconds", "{{drill}}"), unit="s", width=12),
        _panel("Drills overdue", ("skillswap_drill_overdue == 1", "{{drill}}")),
        _panel("Faults not undone", ("skillswap_drill_faults_open", "faults")),
        _panel("How old this is", ("skillswap_records_age_seconds", "records"),
               ("skillswap_exporter_read_seconds", "a look at all nodes"),
               ("skillswap_exporter_late_readers", "late nodes")),
    ),
)  # fmt: skip
DASHBOARDS = (TOPOLOGY, MONGODB, POSTGRESQL, SLA)


def expressions() -> tuple[str, ...]:
    """Every query of every dashboard."""
    return tuple(
        expression
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for expression, _ in panel.queries
    )


def render(dashboard: Dashboard) -> str:
    """A dashboard's JSON. Which data source it asks is chosen on the page."""
    return json.dumps(_dashboard(dashboard), indent=1, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> JsonObject:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["skillswap"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": _placed(dashboard.panels),
    }


def _placed(panels: Sequence[Panel]) -> list[JsonObject]:
    """From left to right, a new row where the next one does not fit."""
    found: list[JsonObject] = []
    x = y = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        found.append(_json(number, panel, {"x": x, "y": y, "w": panel.width, "h": HEIGHT}))
        x += panel.width
    return found


def _json(number: int, panel: Panel, place: JsonObject) -> JsonObject:
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for n, (query, legend) in enumerate(panel.queries)
        ],
    }
