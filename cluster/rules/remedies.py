"""What to do about each problem of a topology, by the rule that found it."""

import math
from collections.abc import Callable, Mapping

from cluster import prediction
from cluster.problems import Path, Problem
from cluster.topology import Topology

CHECKS: Path = ("edge", "checks")
FIELD = "correct the value; `skillswap-ops topology schema` describes every field"

# Broken by a timing that is legal by itself: the cluster would work, and would not keep its SLA.
SLA_RULES = frozenset({"election_within_sla", "failover_within_outage", "crash_within_outage"})

REMEDIES: Mapping[str, str] = {
    # Regions and zones
    "unique_regions": "rename one of the two regions",
    "unique_zones": "rename one of the two zones",
    "known_regions": "name one of the file's regions, or add it to `regions`",
    "a_zone_each": "name a zone for every member, the arbiter's last, or leave `zones` out",
    "known_zones": "name a zone of that region, or add it to the region's `zones`",
    "dr_elsewhere": "put DR into another region, or leave `postgres.dr` out",
    "synchronous_apart": "move one of the two members to another zone",
    # Names
    "segment_not_reserved": "choose another segment name",
    "database_not_reserved": "choose another database name",
    "unique_groups": "rename the shard or the scope",
    "unique_nodes": "rename the member: a name is one server's",
    # MongoDB
    "odd_voters": "add or take away a member, so that the voters are odd",
    "no_arbiter_of_metadata": "remove the arbiter of the config servers",
    "shards_fit": "use fewer shards",
    "write_concern_in_reach": "lower write_concern, or give every shard more members",
    "election_after_heartbeats": "lengthen election_timeout, or shorten heartbeat_interval",
    "election_within_outage": "lower sla.mongo.election, or raise sla.mongo.rto",
    "no_loss_needs_majority": 'set write_concern to "majority"',
    # PostgreSQL
    "one_primary": "give exactly one member the role primary",
    "synchronous_standby": "give a member in another zone the role synchronous",
    "no_loss_needs_synchronous": "set synchronous_mode to true, or promise a larger "
    "sla.postgres.rpo",
    "odd_etcd": "use 3 or 5 members of etcd",
    "lease_outlasts_retries": "raise ttl, or lower loop_wait or retry_timeout",
    "strict_mode": "set synchronous_mode_strict to false; synchronous_mode alone keeps RPO 0 while "
    "a standby is attached",
    # PostgreSQL's own settings
    "legal_names": "correct the parameter's name or value",
    "not_ours": "take the parameter out",
    "not_too_small": "raise the parameter, or take it out",
    "pool_fits": "lower edge.pool_size, or raise max_connections",
    "senders_suffice": "raise the parameter, or take it out",
    "wal_fits_volume": "enlarge postgres.wal_volume, or lower the parameter",
    # The machine
    "unique_repositories": "give each repository a place of its own",
    "folders_apart": "put one of the folders elsewhere",
    "plain_paths": "write the path out, of a folder of its own",
    "legal_buckets": "use the bucket's real name",
    "legal_file_buckets": "use the bucket's real name",
    "objects_there": "set objects.members to 1",
    "buckets_apart": "give the archive a bucket of its own",
    "loopback_network": "choose a /16 such as 127.77.0.0/16",
    "unprivileged": "name a user without rights, such as skillswap",
    # What will be regretted
    "single_points": "use at least 3 members of a replica set or of etcd, 2 of anything else",
    "arbiter_stalls_majority": "replace the arbiter by a data-bearing member",
    "weak_write_concern": 'set write_concern to "majority"',
    "brittle_write_concern": 'set write_concern to "majority", or add a member',
    "shared_segments": "plan for `skillswap-ops schema spread`, or give the shard its own segment",
    "hasty_elections": "set election_timeout to 5 or more",
    "majority_in_a_zone": "spread the voters over three zones",
    "asynchronous_payments": "set synchronous_mode to true",
    "alone_at_rest": "give another member the role synchronous",
    "strict_stalls": "set synchronous_mode_strict to false, or have two synchronous members",
    "no_failsafe": "set failsafe_mode to true",
    "dotted_bucket": "set uri_style to path",
    "archive_within_rpo": "set mongo.backup.enabled to true, and slice to 5",
}


def remedy(problem: Problem, topology: Topology | None) -> str:
    """What to do about a problem; with a number where `topology` (all its fields right) gives one.

    Raises KeyError for a rule that is not known here.
    """
    if not problem.rule:
        return FIELD
    if problem.path[:2] == CHECKS:
        return "shorten edge.checks.inter, or lower edge.checks.rise"
    computed = _COMPUTED.get(problem.rule)
    if computed is None:
        return REMEDIES[problem.rule]
    limit, setting, promise = computed
    longest = math.floor(limit(topology)) if topology else -1
    least = _LEAST.get(setting, 1)
    if longest < least:
        return f"shorten {setting}, or raise {promise} if that is what was promised"
    return f"set {setting} to {longest} or less"


def _election(topology: Topology) -> float:
    return prediction.longest_election_timeout(topology.mongo.timings, topology.sla.mongo.election)


def _ttl(topology: Topology) -> float:
    postgres = topology.postgres
    return prediction.longest_ttl(postgres.timings, topology.edge.checks, topology.sla.postgres.rto)


def _start_timeout(topology: Topology) -> float:
    return prediction.longest_start_timeout(topology.postgres.timings, topology.sla.postgres.rto)


_LEAST = {"postgres.timings.ttl": 20, "postgres.timings.primary_start_timeout": 0}
_COMPUTED: Mapping[str, tuple[Callable[[Topology], float], str, str]] = {
    "election_within_sla": (_election, "mongo.timings.election_timeout", "sla.mongo.election"),
    "failover_within_outage": (_ttl, "postgres.timings.ttl", "sla.postgres.rto"),
    "crash_within_outage": (
        _start_timeout,
        "postgres.timings.primary_start_timeout",
        "sla.postgres.rto",
    ),
}
