"""services-shard-offline: mongo-shard-offline, seen from the services."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo import live, nodes
from mongo.drills.shard_offline import SHARD_OFFLINE as OF_MONGO
from mongo.faults.shard_kill import shard_kill
from skillswap_ops.service_drills.common import (
    WITHIN,
    back_after_undo,
    chat,
    drill,
    not_deployed,
    pay,
    settings,
    shard_of,
    skills,
    untouched,
)


def _shard_offline(context: Context) -> Drill:
    hurt = shard_of(context, "COMPETENCE")
    timings = live.live_timings(context, hurt)
    promise = untouched(WITHIN)
    made = drill(
        context,
        SHARD_OFFLINE,
        group=hurt.name,
        streams=(
            skills(context, back_after_undo(context)),
            chat(context, promise),
            pay(context, promise),
        ),
        stages=(Stage(partial(shard_kill, context, hurt)),),
        effect=Effect.ANY,  # whoever stands first after the restart
        timings=Timings(phase=timings.heartbeat_interval, hold=2 * timings.election_timeout),
        loses_primary=(hurt,),
    )
    left = tuple(one for one in nodes.shards(context) if one.name != hurt.name)
    return replace(made, settings=partial(settings, context, left))


def _skip(context: Context) -> str:
    return not_deployed(context) or OF_MONGO.skip(context)


SHARD_OFFLINE = DrillSpec(
    name="services-shard-offline",
    hypothesis="When the shard of users and skills is gone, people who are logged in go on to chat "
    "and to pay, and nobody's instance is taken out of rotation for it.",
    fault="SIGKILL of every member of the shard of users and skills",
    must_hold="the other segment's journeys go on, nothing is lost, all is back after the undo",
    seconds=75,
    build=_shard_offline,
    needs=(CanKill,),
    tags=frozenset({"services", "mongo"}),
    skip=_skip,
)
