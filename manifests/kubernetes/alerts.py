"""Alerts that follow from the topology and its SLA, as rules of the Prometheus operator.

They ask what the exporters, Patroni and the services say: names of metrics are those of
percona/mongodb_exporter 0.4x, Patroni 4, postgres_exporter 0.1x and kube-state-metrics 2.
"""

from dataclasses import dataclass

from cluster.kubernetes_settings import CertManager
from cluster.topology import Topology

PAGE, TICKET = "page", "ticket"
DAY_SECONDS = 86_400
OLD_SHARE = 1 / 4  # of a certificate's life
WITHOUT = "archiver-.+|console-.+|.+-exporter-.+"  # pods that show none


@dataclass(frozen=True)
class Alert:
    """A condition, how long it holds (seconds) until somebody is told, and what it means."""

    name: str
    expression: str
    seconds: int
    severity: str
    summary: str


def alerts(topology: Topology) -> tuple[Alert, ...]:
    """All of them."""
    return (
        *_mongo(topology),
        *_postgres(topology),
        *_services(topology),
        *_certificates(topology),
    )


def _mongo(topology: Topology) -> tuple[Alert, ...]:
    sla = topology.sla.mongo
    lag = round(sla.rpo / 2)
    sets = len(topology.mongo.shards) + 1
    return (
        Alert(
            "MongoSetWithoutPrimary",
            f"count(count by (rs_nm) (mongodb_members_state == 1)) < {sets}",
            round(sla.election),
            PAGE,
            "a replica set has had no primary for longer than an election may take",
        ),
        Alert(
            "MongoMemberDown",
            "mongodb_members_health == 0",
            60,
            TICKET,
            "{{ $labels.member_idx }} of {{ $labels.rs_nm }} is down: one more may be an outage",
        ),
        Alert(
            "MongoLag",
            'max by (rs_nm) (mongodb_members_optimeDate{member_state="PRIMARY"}) - on (rs_nm) '
            'group_right () mongodb_members_optimeDate{member_state="SECONDARY"} > '
            f"{lag * 1000}",
            60,
            PAGE,
            f"a secondary of {{{{ $labels.rs_nm }}}} is more than {lag} s behind, half of the RPO",
        ),
    )


def _postgres(topology: Topology) -> tuple[Alert, ...]:
    postgres = topology.postgres
    scope, half = postgres.scope, round(topology.sla.postgres.rto / 2)
    rows = [
        Alert(
            "PostgresWithoutPrimary",
            f'sum(patroni_primary{{scope="{scope}"}}) != 1',
            half,
            PAGE,
            f"{scope} has not exactly one primary",
        ),
        Alert(
            "PostgresTimelineSplit",
            f'count(count by (scope, value) (count_values("value", '
            f'patroni_postgres_timeline{{scope="{scope}"}}))) > 1',
            300,
            PAGE,
            f"members of {scope} are on different timelines",
        ),
        Alert(
            "WalNotArchived",
            "increase(pg_stat_archiver_failed_count[10m]) > 0 and "
            "increase(pg_stat_archiver_archived_count[10m]) == 0",
            300,
            PAGE,
            "WAL is not archived: point-in-time recovery ends here, and the disk fills",
        ),
        Alert(
            "ReplicationSlotHoldsWal",
            "pg_replication_slots_pg_wal_lsn_diff > 1e9",
            300,
            TICKET,
            "a slot holds more than 1 GB of WAL back: its standby is away",
        ),
    ]
    if postgres.synchronous_mode:
        rows.append(
            Alert(
                "PostgresUnprotected",
                f'sum(patroni_sync_standby{{scope="{scope}"}}) < 1',
                30,
                PAGE,
                f"{scope} has no synchronous standby: an acknowledged payment can be lost",
            )
        )
    if postgres.dr:
        rows.append(
            Alert(
                "DrIsNotAStandby",
                f'sum(patroni_primary{{scope="{postgres.dr.scope}"}}) > 0',
                0,
                PAGE,
                f"{postgres.dr.scope} takes writes: make sure that {scope} is fenced",
            )
        )
    return tuple(rows)


def _services(topology: Topology) -> tuple[Alert, ...]:
    space = "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes"
    namespace = topology.kubernetes.namespace or topology.name
    return (
        Alert(
            "ServiceErrors",
            'sum by (job) (rate(skillswap_requests_total{status=~"5.."}[5m])) / '
            "sum by (job) (rate(skillswap_requests_total[5m])) > 0.01",
            300,
            PAGE,
            "{{ $labels.job }} fails more than one request of a hundred",
        ),
        Alert(
            "VolumeFillsUp",
            f'{space}{{namespace="{namespace}"}} < 0.2',
            600,
            TICKET,
            "{{ $labels.persistentvolumeclaim }} is four fifths full",
        ),
    )


def _certificates(topology: Topology) -> tuple[Alert, ...]:
    """A pod reads its certificate when it starts. That one had a third of its life left at least,
    or it would have been another: a pod that is older than a quarter of a life is started anew.
    """
    if not topology.tls.enabled or not isinstance(topology.kubernetes.tls, CertManager):
        return ()
    namespace = topology.kubernetes.namespace or topology.name
    pods = f'namespace="{namespace}", pod!~"{WITHOUT}"'
    seconds = round(topology.tls.leaf_days * DAY_SECONDS * OLD_SHARE)
    return (
        Alert(
            "CertificateGetsOld",
            f"time() - max by (pod) (kube_pod_start_time{{{pods}}}) > {seconds}",
            600,
            TICKET,
            "{{ $labels.pod }} runs with the certificate that it began with: start it anew",
        ),
    )
