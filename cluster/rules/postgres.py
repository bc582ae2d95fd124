"""PostgreSQL and Patroni: what they refuse or silently change, and what would break the SLA."""

from collections.abc import Iterable

from cluster import prediction
from cluster.problems import Path, Problem
from cluster.rules.base import rule
from cluster.topology import PostgresRole, Topology

TIMINGS: Path = ("postgres", "timings")


def one_primary(topology: Topology) -> Iterable[Problem]:
    """Active–passive: one member creates the cluster and leads at rest (TP3 §4)."""
    members = topology.postgres.members
    primaries = [i for i, member in enumerate(members) if member.role is PostgresRole.PRIMARY]
    if not primaries:
        yield Problem(("postgres", "members"), "must have one member whose role is primary")
    for extra in primaries[1:]:
        reason = f"must be on one member only: postgres.members[{primaries[0]}] is the primary"
        yield Problem(("postgres", "members", extra, "role"), reason, PostgresRole.PRIMARY)


def synchronous_standby(topology: Topology) -> Iterable[Problem]:
    """Without a standby to wait for, Patroni's synchronous mode goes on alone, and an acknowledged
    payment is on one disk (TP3 §4: `synchronous_standby_names='1 (pgsync1)'`).
    """
    postgres = topology.postgres
    roles = {member.role for member in postgres.members}
    if postgres.synchronous_mode and PostgresRole.SYNCHRONOUS not in roles:
        reason = "must have a member whose role is synchronous, as synchronous_mode is true"
        yield Problem(("postgres", "members"), reason)


def no_loss_needs_synchronous(topology: Topology) -> Iterable[Problem]:
    """TP3 §6: PostgreSQL's RPO is 0. Asynchronous replication loses what was not yet sent."""
    if topology.sla.postgres.rpo == 0 and not topology.postgres.synchronous_mode:
        reason = "must be true: sla.postgres.rpo is 0, and asynchronous replication loses writes"
        yield Problem(("postgres", "synchronous_mode"), reason, value=False)


def odd_etcd(topology: Topology) -> Iterable[Problem]:
    """An even etcd cluster stands no more losses than one member less, and has one more that can
    fail (etcd FAQ, "Why an odd number of cluster members?").
    """
    postgres = topology.postgres
    if postgres.etcd % 2 == 0:
        yield Problem(("postgres", "etcd"), "must be odd", postgres.etcd)
    if postgres.dr and postgres.dr.etcd % 2 == 0:
        yield Problem(("postgres", "dr", "etcd"), "must be odd", postgres.dr.etcd)


def lease_outlasts_retries(topology: Topology) -> Iterable[Problem]:
    """Patroni's rule `loop_wait + 2 * retry_timeout <= ttl`. Where it is broken Patroni changes
    loop_wait and retry_timeout by itself and only logs it (patroni.config).
    """
    timings = topology.postgres.timings
    needed = timings.loop_wait + 2 * timings.retry_timeout
    if needed > timings.ttl:
        reason = f"must be at least loop_wait + 2 * retry_timeout = {needed}"
        yield Problem((*TIMINGS, "ttl"), reason, timings.ttl)


def failover_within_outage(topology: Topology) -> Iterable[Problem]:
    """TP3 §6: RTO ≤ 2 min. See `cluster.prediction.node_loss`."""
    timings, checks = topology.postgres.timings, topology.edge.checks
    worst, rto = prediction.node_loss(timings, checks), topology.sla.postgres.rto
    if worst > rto:
        reason = f"lets a failover take {worst:g} s, and sla.postgres.rto is {rto:g} s"
        if timings.ttl > worst / 2:
            yield Problem((*TIMINGS, "ttl"), reason, timings.ttl)
        else:
            yield Problem(("edge", "checks", "inter"), reason, checks.inter)


def crash_within_outage(topology: Topology) -> Iterable[Problem]:
    """Patroni waits this long for a crashed primary before it fails over; its default of 300 s
    alone breaks an RTO of 120 s. See `cluster.prediction.crash`.
    """
    timings, rto = topology.postgres.timings, topology.sla.postgres.rto
    worst = prediction.crash(timings)
    if worst > rto:
        reason = f"lets a crash wait {worst:g} s for a failover, and sla.postgres.rto is {rto:g} s"
        path = (*TIMINGS, "primary_start_timeout")
        yield Problem(path, reason, timings.primary_start_timeout)


def strict_mode(topology: Topology) -> Iterable[Problem]:
    """`synchronous_mode_strict` without a standby sets synchronous_standby_names to `*`: any
    streaming standby may then acknowledge, the DR one in another region included (patroni#3632).
    """
    postgres = topology.postgres
    path = ("postgres", "synchronous_mode_strict")
    if postgres.synchronous_mode_strict and not postgres.synchronous_mode:
        yield Problem(path, "needs synchronous_mode", value=True)
    if postgres.synchronous_mode_strict and postgres.dr:
        reason = "must be false beside postgres.dr, which would acknowledge for the lost standby"
        yield Problem(path, reason, value=True)


RULES = (
    rule(one_primary, "postgres"),
    rule(synchronous_standby, "postgres"),
    rule(no_loss_needs_synchronous, "postgres", "sla"),
    rule(odd_etcd, "postgres"),
    rule(lease_outlasts_retries, "postgres"),
    rule(failover_within_outage, "postgres", "edge", "sla"),
    rule(crash_within_outage, "postgres", "sla"),
    rule(strict_mode, "postgres"),
)
