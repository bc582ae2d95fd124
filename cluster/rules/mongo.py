"""MongoDB: what its servers refuse, and what would break its SLA."""

from collections.abc import Iterable

from cluster import prediction
from cluster.inventory import MAX_SHARDS
from cluster.problems import Problem
from cluster.rules.base import CONFIG_SERVERS, replica_sets, rule
from cluster.topology import Topology


def odd_voters(topology: Topology) -> Iterable[Problem]:
    """An even number of voters costs a server and stands no more losses than one less (MongoDB
    Manual, Replica Set Deployment Architectures). With at most seven members in the model this
    also keeps to MongoDB's seven voters, the arbiter's vote included.
    """
    for path, _, members in replica_sets(topology):
        if members.arbiter and path != CONFIG_SERVERS and members.members % 2:
            reason = "must be even beside an arbiter, so that the voters are odd"
            yield Problem((*path, "members"), reason, members.members)
        elif not members.arbiter and members.members % 2 == 0:
            yield Problem((*path, "members"), "must be odd", members.members)


def no_arbiter_of_metadata(topology: Topology) -> Iterable[Problem]:
    """mongod: "Arbiters are not allowed in replica set configurations being used for config
    servers" (ReplSetConfig::validate).
    """
    if topology.mongo.config_servers.arbiter:
        reason = "must be false: MongoDB allows none among config servers"
        yield Problem((*CONFIG_SERVERS, "arbiter"), reason, value=True)


def shards_fit(topology: Topology) -> Iterable[Problem]:
    """Each shard has a block of the address plan to itself (cluster.inventory)."""
    count = len(topology.mongo.shards)
    if count > MAX_SHARDS:
        reason = f"must have {MAX_SHARDS} entries or fewer: the address plan has no room for more"
        yield Problem(("mongo", "shards"), reason)


def write_concern_in_reach(topology: Topology) -> Iterable[Problem]:
    """A write that more members must take than hold data never ends (UnsatisfiableWriteConcern);
    as the cluster's default it binds the smallest shard.
    """
    wanted = topology.mongo.write_concern
    smallest = min(topology.mongo.shards, key=lambda shard: shard.members)
    if isinstance(wanted, int) and wanted > smallest.members:
        reason = f"must be at most {smallest.members}: {smallest.name} has no more members"
        yield Problem(("mongo", "write_concern"), reason, wanted)


def election_after_heartbeats(topology: Topology) -> Iterable[Problem]:
    """A timeout that one late heartbeat overruns votes out healthy primaries. MongoDB itself does
    not check it; its defaults are five to one, Raft asks for an order of magnitude.
    """
    timings = topology.mongo.timings
    if timings.election_timeout < 2 * timings.heartbeat_interval:
        reason = f"must be at least twice heartbeat_interval ({timings.heartbeat_interval:g})"
        path = ("mongo", "timings", "election_timeout")
        yield Problem(path, reason, timings.election_timeout)


def election_within_sla(topology: Topology) -> Iterable[Problem]:
    """TP3 §5: "élections automatiques <15 s"."""
    sla = topology.sla.mongo.election
    worst = prediction.election(topology.mongo.timings)
    if worst > sla:
        reason = f"lets an election take {worst:g} s, and sla.mongo.election is {sla:g} s"
        path = ("mongo", "timings", "election_timeout")
        yield Problem(path, reason, topology.mongo.timings.election_timeout)


def election_within_outage(topology: Topology) -> Iterable[Problem]:
    """An election is part of the outage that it ends."""
    sla = topology.sla.mongo
    if sla.election > sla.rto:
        reason = f"must not be more than sla.mongo.rto ({sla.rto:g})"
        yield Problem(("sla", "mongo", "election"), reason, sla.election)


def no_loss_needs_majority(topology: Topology) -> Iterable[Problem]:
    """A write that only the primary has is rolled back after a failover: no RPO of 0 holds."""
    if topology.sla.mongo.rpo == 0 and topology.mongo.write_concern == 1:
        reason = "must be more than 1: sla.mongo.rpo is 0, and a primary's death loses such writes"
        yield Problem(("mongo", "write_concern"), reason, 1)


RULES = (
    rule(odd_voters, "mongo"),
    rule(no_arbiter_of_metadata, "mongo"),
    rule(shards_fit, "mongo"),
    rule(write_concern_in_reach, "mongo"),
    rule(election_after_heartbeats, "mongo"),
    rule(election_within_sla, "mongo", "sla"),
    rule(election_within_outage, "sla"),
    rule(no_loss_needs_majority, "mongo", "sla"),
)
