"""pg-node-kill."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Stage
from cluster.target import CanKill
from postgres.drills.common import drill
from postgres.faults.node_kill import node_of_leader
from postgres.scopes import primary_scope


def node_kill(context: Context) -> Drill:
    """Kill the leader's node, as if its machine had lost its power."""
    scope = primary_scope(context)
    return drill(
        context,
        NODE_KILL,
        stages=[Stage(partial(node_of_leader, context, scope))],
    )


NODE_KILL = DrillSpec(
    name="pg-node-kill",
    hypothesis="When the primary's node dies, the synchronous standby takes over: "
    "no acknowledged write is lost, and writes go on within the RTO.",
    fault="SIGKILL Patroni, the postmaster with its children, and pgbouncer of the primary's node",
    must_hold="synchronous standby promoted, nothing lost",
    seconds=75,
    build=node_kill,
    needs=(CanKill,),
    tags=frozenset({"postgres", "failover", "quarterly"}),
)
