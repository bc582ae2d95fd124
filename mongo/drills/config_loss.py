"""mongo-config-loss."""

from dataclasses import replace
from functools import partial

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage, Timings
from cluster.target import CanKill
from mongo import nodes
from mongo.drills.common import (
    cannot_lose_one,
    drill,
    fresh_stream,
    logs,
    observers,
    preflight,
    scene,
    settings_of,
    spared,
    stream,
    untouched,
)
from mongo.faults.primary_kill import primary_kill

ELECTED_SECONDS = 12.0  # until the config servers have another primary: the second victim
# Routers read users and metadata again every 30 s: they must be seen to go on without.
HELD_SECONDS = 40.0


def _config_loss(context: Context) -> Drill:
    here = scene(context)
    config, promise = nodes.config_servers(context), untouched(here.timings)
    made = drill(
        here,
        CONFIG_LOSS,
        streams=(
            stream(context, here.shard, promise, retries=False),
            fresh_stream(context, here.shard, promise),
            *spared(here),
        ),
        stages=(
            Stage(partial(primary_kill, context, config.name)),
            Stage(partial(primary_kill, context, config.name), after=ELECTED_SECONDS),
        ),
        effect=Effect.ANY,  # one of three members is left: it can lead no more
        timings=Timings(phase=here.timings.heartbeat_interval, hold=HELD_SECONDS),
    )
    return replace(
        made,
        group=config.name,
        observers=(*observers(context, config), *made.observers),
        preflight=partial(preflight, context, config),
        # The default write concern can only be asked of a primary that there is not.
        settings=partial(settings_of, context, nodes.shards(context)),
        logs=logs(context, config.nodes),
    )


CONFIG_LOSS = DrillSpec(
    name="mongo-config-loss",
    hypothesis="When the config servers lose their primary, and then their majority, routers go on "
    "with what they know: writes, and log-ins of known users, feel nothing.",
    fault="SIGKILL of the config servers' primary, then of the one that follows it",
    must_hold="the data path of every segment is untouched, new clients get in",
    seconds=90,
    build=_config_loss,
    needs=(CanKill,),
    tags=frozenset({"mongo"}),
    skip=lambda context: cannot_lose_one(context, nodes.config_servers(context)),
)
