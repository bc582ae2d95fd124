"""What is allowed and will be regretted: warnings, for `plan` and `lint` to print."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from cluster.inventory import Kind, Node, inventory
from cluster.problems import Path, Problem
from cluster.rules.base import CONFIG_SERVERS, replica_sets
from cluster.topology import PostgresRole, S3Repository, Topology

FLAPPING = 2.0  # seconds; garbage collections, snapshots and slow disks stall a server that long


def single_points(topology: Topology) -> Iterable[Problem]:
    """What there is one of takes the service with it (TP3 §4: "`mongos` redondants, 3 config
    servers"; §5: elections need someone to elect).
    """
    for path, _, members in replica_sets(topology):
        if members.members == 1:
            what = "the cluster's metadata" if path == CONFIG_SERVERS else "its segment"
            reason = f"is a single point of failure: its loss takes {what} with it"
            yield Problem((*path, "members"), reason, 1)
    fleets: tuple[tuple[Path, int, str], ...] = (
        (("mongo", "routers"), topology.mongo.routers, "all of MongoDB"),
        (("postgres", "etcd"), topology.postgres.etcd, "failover"),
        (("edge", "haproxies"), topology.edge.haproxies, "the way to PostgreSQL"),
    )
    for path, count, what in fleets:
        if count == 1:
            reason = f"is a single point of failure: its loss takes {what} with it"
            yield Problem(path, reason, 1)


def arbiter_stalls_majority(topology: Topology) -> Iterable[Problem]:
    """Where losing one data-bearing member leaves fewer than a majority that hold data, the
    arbiter keeps a primary that no majority write can satisfy (MongoDB Manual, Mitigate
    Performance Issues with PSA Replica Set).
    """
    for path, _, members in replica_sets(topology):
        voters = members.members + members.arbiter
        tight = members.arbiter and members.members <= voters // 2 + 1
        if tight and topology.mongo.write_concern == "majority":
            reason = "lets majority writes wait for ever once a data-bearing member is lost"
            yield Problem((*path, "arbiter"), reason, value=True)


def weak_write_concern(topology: Topology) -> Iterable[Problem]:
    """At w:1 an acknowledged write may be on one member; a failover rolls it back, as much as the
    replication lag was, and MongoDB promises no bound on that lag.
    """
    if topology.mongo.write_concern == 1 and topology.sla.mongo.rpo > 0:
        rpo = topology.sla.mongo.rpo
        reason = f"holds sla.mongo.rpo ({rpo:g} s) only while no secondary lags more than that"
        yield Problem(("mongo", "write_concern"), reason, 1)


def brittle_write_concern(topology: Topology) -> Iterable[Problem]:
    """At w:N on N members every member is needed for every write."""
    wanted = topology.mongo.write_concern
    for index, shard in enumerate(topology.mongo.shards):
        if wanted == shard.members and wanted != 1:
            reason = f"lets the loss of one member of {shard.name} stop its writes"
            path: Path = ("mongo", "shards", index, "members")
            yield Problem(path, reason, shard.members)


def shared_segments(topology: Topology) -> Iterable[Problem]:
    """A database stays on its primary shard until its collections are sharded (MongoDB Manual,
    Sharded Cluster Components: primary shard).
    """
    first: dict[str, str] = {}
    for index, shard in enumerate(topology.mongo.shards):
        if shard.segment in first:
            reason = f"is whole on {first[shard.segment]} until `schema spread`, which needs mongos"
            yield Problem(("mongo", "shards", index, "segment"), reason, shard.segment)
        first.setdefault(shard.segment, shard.name)


def hasty_elections(topology: Topology) -> Iterable[Problem]:
    """A short timeout takes a busy primary for a dead one (MongoDB Manual, settings.
    electionTimeoutMillis: "lower values result in faster failover, but increased sensitivity").
    """
    timeout = topology.mongo.timings.election_timeout
    if timeout < FLAPPING:
        reason = f"takes a primary that stalls for {timeout:g} s for dead"
        yield Problem(("mongo", "timings", "election_timeout"), reason, timeout)


def majority_in_a_zone(topology: Topology) -> Iterable[Problem]:
    """The loss of a zone must leave a majority (MongoDB Manual, Replica Sets Distributed Across
    Two or More Data Centers; etcd, Failure modes).
    """
    nodes = inventory(topology)
    for path, group, _ in replica_sets(topology):
        voters = nodes.of(Kind.SHARD, Kind.CONFIG, Kind.ARBITER, group=group)
        yield from _heavy_zone(path, voters)
    yield from _heavy_zone(("postgres", "etcd"), nodes.of(Kind.ETCD, group="etcd"))


def _heavy_zone(path: Path, voters: Sequence[Node]) -> Iterator[Problem]:
    if len(voters) == 1:  # a single point of failure in any case
        return
    zone, count = Counter(node.zone for node in voters).most_common(1)[0]
    if count > len(voters) // 2:
        reason = f"has {count} of its {len(voters)} voters in zone {zone}: its loss ends the quorum"
        yield Problem(path, reason)


def asynchronous_payments(topology: Topology) -> Iterable[Problem]:
    """What the SLA allows, and what a role then no longer means."""
    postgres = topology.postgres
    if postgres.synchronous_mode:
        return
    path = ("postgres", "synchronous_mode")
    if topology.sla.postgres.rpo > 0:
        reason = "lets a failover lose acknowledged payments, up to Patroni's maximum lag of 1 MiB"
        yield Problem(path, reason, value=False)
    for index, member in enumerate(postgres.members):
        if member.role is PostgresRole.SYNCHRONOUS:
            reason = "waits for nobody, as synchronous_mode is false"
            yield Problem(("postgres", "members", index, "role"), reason, member.role)


def alone_at_rest(topology: Topology) -> Iterable[Problem]:
    """A primary without another member that may lead has nobody to fail over to."""
    leaders = {PostgresRole.PRIMARY, PostgresRole.SYNCHRONOUS}
    members = topology.postgres.members
    if sum(member.role in leaders for member in members) == 1:
        yield Problem(("postgres", "members"), "has nobody who may take over from the primary")


def strict_stalls(topology: Topology) -> Iterable[Problem]:
    """Strict mode trades availability: the loss of the last standby stops all writes (Patroni,
    Replication modes).
    """
    if topology.postgres.synchronous_mode_strict:
        reason = "lets the loss of the last standby stop all payments"
        yield Problem(("postgres", "synchronous_mode_strict"), reason, value=True)


def no_failsafe(topology: Topology) -> Iterable[Problem]:
    """Without failsafe_mode a primary that cannot reach etcd demotes itself (Patroni, DCS Failsafe
    Mode): the loss of etcd is an outage of the payments.
    """
    if not topology.postgres.failsafe_mode:
        reason = "lets an outage of etcd stop all payments"
        yield Problem(("postgres", "failsafe_mode"), reason, value=False)


def dotted_bucket(topology: Topology) -> Iterable[Problem]:
    """A wildcard certificate covers one label: `my.bucket.s3.example` fails the check (Amazon S3
    User Guide, bucket naming rules).
    """
    for index, repository in enumerate(topology.archive.repositories):
        if not isinstance(repository, S3Repository) or repository.uri_style != "host":
            continue
        if "." in repository.bucket:
            path: Path = ("archive", "repositories", index, "bucket")
            reason = "breaks the certificate check in host style, for the dot in it"
            yield Problem(path, reason, repository.bucket)


def archive_within_rpo(topology: Topology) -> Iterable[Problem]:
    """What is not archived yet is lost with a cluster (TP3 §6 allows five minutes); an archiver
    that is killed loses the slice that it was at, and then needs as long again.
    """
    backup, rpo = topology.mongo.backup, topology.sla.mongo.rpo
    if not backup.enabled:
        reason = "leaves MongoDB without any backup: what is destroyed is gone"
        yield Problem(("mongo", "backup", "enabled"), reason, value=False)
    elif 0 < rpo < 2 * backup.slice:
        reason = f"lets the loss of the whole cluster lose more than sla.mongo.rpo ({rpo:g} s)"
        yield Problem(("mongo", "backup", "slice"), reason, backup.slice)


ADVICE = (
    single_points,
    arbiter_stalls_majority,
    weak_write_concern,
    brittle_write_concern,
    shared_segments,
    hasty_elections,
    majority_in_a_zone,
    asynchronous_payments,
    alone_at_rest,
    strict_stalls,
    no_failsafe,
    dotted_bucket,
    archive_within_rpo,
)
