"""All of MongoDB's provisioning, in the order that its needs make."""

from cluster.context import Context
from cluster.plan import Step
from mongo import certificates, members, nodes, readiness, sharding, users


def steps(context: Context) -> tuple[Step, ...]:
    """Replica sets, then users, defaults, shards and segments, then the proof by writing."""
    replica_sets = nodes.replica_sets(context)
    return (
        *(step for replica_set in replica_sets for step in members.steps(context, replica_set)),
        *(users.step(context, replica_set) for replica_set in replica_sets),
        *sharding.steps(context),
        *certificates.steps(context),
        readiness.step(context),
    )
