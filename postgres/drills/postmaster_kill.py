"""pg-postmaster-kill."""

from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage
from cluster.target import CanKill
from postgres import patroni
from postgres.drills.common import drill
from postgres.dynamic import JsonObject
from postgres.faults.postmaster_kill import postmaster_of_leader
from postgres.scopes import primary_scope


def postmaster_kill(context: Context) -> Drill:
    """Kill the postmaster under a Patroni that lives."""
    scope = primary_scope(context)
    live = patroni.config(patroni.leader_of(scope))
    return drill(
        context,
        POSTMASTER_KILL,
        stages=[Stage(partial(postmaster_of_leader, context, scope))],
        effect=effect_of(live),
    )


def effect_of(live: JsonObject) -> Effect:
    """What Patroni does about a crash: with primary_start_timeout 0 it fails over at once."""
    return Effect.NEW_LEADER if live.get("primary_start_timeout") == 0 else Effect.SAME_LEADER


POSTMASTER_KILL = DrillSpec(
    name="pg-postmaster-kill",
    hypothesis="When the primary's postmaster dies, Patroni recovers it where it is, on the same "
    "timeline: no acknowledged write is lost, and writes go on within the RTO.",
    fault="SIGKILL the primary's postmaster; Patroni and the pool live on",
    must_hold="same timeline, back in time, nothing lost",
    seconds=50,
    build=postmaster_kill,
    needs=(CanKill,),
    tags=frozenset({"postgres"}),
)
