"""How long a failover should take, worst case, from the topology's timings alone. Seconds.

The rules hold it against the SLA before anything is deployed. The constants are the engines'
forecasts' too: those draw what lies between, these sums are never shorter.
"""

from cluster.topology import HaproxyChecks, MongoTimings, PostgresTimings

# replElectionTimeoutOffsetLimitFraction: a member adds up to this share to its timeout, at random,
# so that two do not stand for election at once (mongo/db/repl/repl_server_parameters.idl).
ELECTION_OFFSET = 0.15
# etcd looks for expired leases every 0.5 s (lease/lessor.go), and revokes them through its log.
LEASE_SWEEP = 1.0
# From the expiry to a writable server: the race for the key, pg_promote, an end-of-recovery record;
# measured, the longest on a busy machine.
PROMOTION = (0.2, 4.0)


def election(timings: MongoTimings) -> float:
    """From a primary's death to the next one: the longest timeout, and one heartbeat to learn it.

    Measured with 5 s and 1 s: 5.3 to 6.1 s to the next majority write.
    """
    return timings.election_timeout * (1 + ELECTION_OFFSET) + timings.heartbeat_interval


def node_loss(timings: PostgresTimings, checks: HaproxyChecks) -> float:
    """From a node's death until HAProxy sends writes to the next primary.

    The lease runs out at most `ttl` later, a standby looks at most `loop_wait` after that, and is
    promoted; HAProxy drops the old node meanwhile and wants `rise` good answers of the new one.
    Measured with 20 s and 2 s: 20.3 s.
    """
    promoted = timings.ttl + timings.loop_wait + LEASE_SWEEP + PROMOTION[1]
    dropped = checks.inter * checks.fall
    return max(promoted, dropped) + checks.inter * checks.rise


def crash(timings: PostgresTimings) -> float:
    """From a crash of the primary's PostgreSQL, Patroni alive, until a failover begins.

    "loop_wait + primary_start_timeout + loop_wait, unless primary_start_timeout is zero, in which
    case it is just loop_wait" (Patroni, Dynamic configuration settings).
    """
    if timings.primary_start_timeout == 0:
        return timings.loop_wait
    return 2 * timings.loop_wait + timings.primary_start_timeout


# The same sums turned round: the longest setting that a promise leaves room for. Seconds; negative
# where there is none.


def longest_election_timeout(timings: MongoTimings, promised: float) -> float:
    """The longest `election_timeout` whose election is over within `promised`."""
    return (promised - timings.heartbeat_interval) / (1 + ELECTION_OFFSET)


def longest_ttl(timings: PostgresTimings, checks: HaproxyChecks, promised: float) -> float:
    """The longest `ttl` whose failover is over within `promised`."""
    others = timings.loop_wait + LEASE_SWEEP + PROMOTION[1] + checks.inter * checks.rise
    return promised - others


def longest_start_timeout(timings: PostgresTimings, promised: float) -> float:
    """The longest `primary_start_timeout` whose failover begins within `promised`."""
    return promised - 2 * timings.loop_wait
