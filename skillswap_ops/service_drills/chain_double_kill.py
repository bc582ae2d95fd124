"""chain-double-kill."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo.faults.primary_kill import primary_kill
from mongo.live import live_timings
from postgres.drills.old_timeline import keep_old_timeline
from postgres.faults.node_kill import node_of_leader
from postgres.scopes import primary_scope
from skillswap_ops.service_drills.checks import BOTH_CHANGED
from skillswap_ops.service_drills.common import (
    chain,
    drill,
    not_deployed,
    pay,
    restored,
    shard_of,
)
from skillswap_ops.service_drills.forecast import double_kill


def _double_kill(context: Context) -> Drill:
    scope, sessions = primary_scope(context), shard_of(context, "SESSION").name
    made = drill(
        context,
        CHAIN_DOUBLE_KILL,
        group=sessions,
        streams=(
            chain(context, restored(context)),
            chain(context, restored(context), retried=True),
            pay(context, restored(context)),
        ),
        stages=(
            Stage(partial(primary_kill, context, sessions)),
            Stage(partial(node_of_leader, context, scope)),
        ),
        effect=Effect.NEW_LEADER,
        timings=Timings(phase=float(context.topology.postgres.timings.loop_wait)),
        checks=(BOTH_CHANGED,),
        loses_primary=(shard_of(context, "SESSION"),),
    )
    foretold = double_kill(live_timings(context, shard_of(context, "SESSION")))
    return replace(
        made,
        prediction=foretold.prediction,
        preserve=partial(keep_old_timeline, context, scope),
    )


CHAIN_DOUBLE_KILL = DrillSpec(
    name="chain-double-kill",
    hypothesis="When the sessions' MongoDB primary and the payments' PostgreSQL node die at once, "
    "under users who propose sessions with a message and a payment, every chain is finished: no "
    "session without its intent, no intent without its session, none of them twice.",
    fault="SIGKILL of the sessions' MongoDB primary and of the PostgreSQL primary's node, at once",
    must_hold="no orphan, no duplicate across the stores; nothing acknowledged is lost",
    seconds=140,
    build=_double_kill,
    needs=(CanKill,),
    tags=frozenset({"services", "mongo", "postgres", "failover", "quarterly"}),
    skip=not_deployed,
)
