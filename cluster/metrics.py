"""What is measured of a running cluster: every metric by name, and one reading of it.

Names follow https://prometheus.io/docs/practices/naming/: base units, counters that only grow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cluster.inventory import Node

PREFIX = "skillswap_"


class Type(StrEnum):
    """A gauge goes up and down, a counter only up (its name gets `_total`)."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True)
class Metric:
    """What a metric means, and which labels its readings have."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Type = Type.GAUGE

    @property
    def exported(self) -> str:
        """Its name as rules and dashboards write it."""
        return f"{PREFIX}{self.name}{'_total' if self.type is Type.COUNTER else ''}"


@dataclass(frozen=True)
class Reading:
    """A value of a metric, by the metric's name without prefix."""

    metric: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Asks one node. Each has at most one question under way, in a thread of its own."""

    @property
    def node(self) -> Node:
        """Which."""
        ...

    def read(self) -> Sequence[Reading]:
        """What it says now. Raises OpsError where it does not answer in about a second."""
        ...

    def close(self) -> None:
        """Release its connection."""
        ...


NODE = ("node", "kind", "group", "region", "zone")
METRICS = (
    # Every node
    Metric("node_up", "Whether the node answered its own question.", NODE),
    Metric("node_answer_seconds", "How long its answer took.", NODE),
    Metric("node_storage_free_bytes", "Free space where its data is.", ("node", "volume")),
    Metric("node_storage_size_bytes", "The size of the volume where its data is.",
           ("node", "volume")),
    # MongoDB
    Metric("mongo_member_state", "State by replSetGetStatus: 1 primary, 2 secondary, 7 arbiter.",
           ("node", "set")),
    Metric("mongo_primaries", "Members that say they are primary in the newest term.", ("set",)),
    Metric("mongo_members", "Members that the topology wants.", ("set",)),
    Metric("mongo_members_serving", "Members that are primary, secondary or arbiter.", ("set",)),
    Metric("mongo_term", "The newest term: each election begins one.", ("set",)),
    Metric("mongo_elections_called", "Elections that the member called.", ("node", "set"),
           Type.COUNTER),
    Metric("mongo_replication_lag_seconds", "How far a secondary is behind its primary.",
           ("node", "set")),
    Metric("mongo_oplog_window_seconds", "The time from the oldest oplog entry to the newest.",
           ("node", "set")),
    Metric("mongo_connections", "Open client connections.", ("node",)),
    Metric("mongo_operations", "Operations, by type.", ("node", "type"), Type.COUNTER),
    Metric("mongo_operation_seconds", "Time in operations, by type: rate by rate is the latency.",
           ("node", "type"), Type.COUNTER),
    Metric("mongo_storage_bytes", "Size of all databases on disk.", ("node", "set")),
    Metric("mongo_router_info", "1; `router` says whether it is mongos or the segment router.",
           ("node", "router")),
    Metric("mongo_router_shards", "Shards that the router knows.", ("node",)),
    Metric("mongo_archive_lag_seconds", "Since when the oplogs are not in the archive.", ("node",)),
    Metric("mongo_archive_healthy", "Whether the archiver goes on without gap or trouble.",
           ("node",)),
    # PostgreSQL
    Metric("postgres_takes_writes", "Whether the member's PostgreSQL takes writes.",
           ("node", "scope")),
    Metric("postgres_streams", "Whether a member streams from another.", ("node", "scope")),
    Metric("postgres_primaries", "Members that take writes.", ("scope",)),
    Metric("postgres_members", "Members that the topology wants.", ("scope",)),
    Metric("postgres_is_dr", "Whether the scope follows another one, and must be a standby.",
           ("scope",)),
    Metric("postgres_timeline", "The timeline: each promotion begins one.", ("node", "scope")),
    Metric("postgres_synchronous_wanted", "Whether commits should wait for a standby.", ("scope",)),
    Metric("postgres_synchronous_standbys", "Standbys that commits wait for, and that stream.",
           ("scope",)),
    Metric("postgres_unprotected_seconds", "Time with a primary that had no synchronous standby, "
           "though one is wanted; since the exporter began.", ("scope",), Type.COUNTER),
    Metric("postgres_replication_lag_seconds", "Age of what a standby has yet to replay.",
           ("node", "scope")),
    Metric("postgres_replication_lag_bytes", "WAL that a standby has yet to replay.",
           ("node", "scope")),
    Metric("postgres_wal_archived", "WAL files archived.", ("node", "scope"), Type.COUNTER),
    Metric("postgres_wal_archive_failures", "Failed tries to archive.", ("node", "scope"),
           Type.COUNTER),
    Metric("postgres_wal_archive_failing", "Whether the last try failed.", ("node", "scope")),
    Metric("postgres_wal_archive_age_seconds", "Since the last WAL file was archived.",
           ("node", "scope")),
    Metric("postgres_wal_bytes", "WAL on disk.", ("node", "scope")),
    Metric("postgres_slot_retained_bytes", "WAL that a replication slot holds back.",
           ("node", "scope", "slot")),
    Metric("postgres_slot_active", "Whether somebody reads from the slot.",
           ("node", "scope", "slot")),
    Metric("postgres_database_bytes", "Size of all databases.", ("node", "scope")),
    Metric("postgres_connections", "Client connections.", ("node", "scope")),
    Metric("postgres_connections_allowed", "max_connections.", ("node", "scope")),
    Metric("postgres_commits", "Transactions committed.", ("node", "scope"), Type.COUNTER),
    Metric("postgres_rollbacks", "Transactions rolled back.", ("node", "scope"), Type.COUNTER),
    Metric("postgres_deadlocks", "Deadlocks.", ("node", "scope"), Type.COUNTER),
    Metric("postgres_oldest_transaction_seconds", "Age of the oldest open transaction.",
           ("node", "scope")),
    Metric("patroni_paused", "Whether Patroni changes nothing by itself.", ("node", "scope")),
    Metric("patroni_unlocked", "Whether Patroni sees that nobody leads.", ("node", "scope")),
    Metric("pool_clients", "Clients of pgbouncer, by state.", ("node", "state")),
    Metric("pool_wait_seconds", "How long the oldest waiting client has waited.", ("node",)),
    Metric("etcd_has_leader", "Whether the member knows a leader.", ("node", "scope")),
    Metric("etcd_term", "The raft term.", ("node", "scope")),
    Metric("etcd_storage_bytes", "Size of the database.", ("node", "scope")),
    Metric("proxy_routes", "Servers behind a listener that are up.", ("node", "listener")),
    Metric("proxy_leads_to", "1 for each server behind a listener that is up.",
           ("node", "listener", "server")),
    # Services
    Metric("service_instances_wanted", "Instances that should run.", ("service",)),
    Metric("service_instances_ready", "Instances that are ready.", ("service",)),
    Metric("service_change_open", "Whether a rollout has not come to its end.", ()),
    # What is written down
    Metric("backup_age_seconds", "Age of the newest good backup.", ("engine",)),
    Metric("backups", "Good backups.", ("engine",)),
    Metric("backup_window_end_age_seconds", "How old the newest instant is that can be restored.",
           ("engine",)),
    Metric("drill_verdict", "1 for the verdict of the drill's last run, 0 for the others.",
           ("drill", "verdict")),
    Metric("drill_age_seconds", "Since the drill's last run that showed something.", ("drill",)),
    Metric("drill_overdue", "Whether the drill must be run again.", ("drill",)),
    Metric("restore_proof_overdue", "Whether it is too long since a proof of the backups, or since "
           "the cluster was made.", ()),
    Metric("drill_faults_open", "Faults of drills that are not undone.", ()),
    Metric("certificate_days_left", "Days until a certificate ends.", ("certificate",)),
    Metric("region_stage", "1 for the stage of the DR round trip, 0 for the others.", ("stage",)),
    Metric("restore_half_done", "Whether a restore in place has not come to its end.", ()),
    Metric("records_age_seconds", "Since the metrics of backups and drills were read.", ()),
    # The exporter itself
    Metric("exporter_blind", "1 where most nodes were silent and this machine was overloaded: the "
           "look has no other readings of them.", ()),
    Metric("exporter_late_readers", "Nodes that did not answer in time.", ()),
    Metric("exporter_read_seconds", "How long the last look at all nodes took.", ()),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}


def values(readings: Iterable[Reading], metric: str) -> dict[tuple[str, ...], float]:
    """The values of a metric, by its labels in their order."""
    labels = BY_NAME[metric].labels
    return {
        tuple(reading.labels[label] for label in labels): reading.value
        for reading in readings
        if reading.metric == metric
    }
