"""What they share: both engines under load, for a machine has something of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random

import mongo.drills.common as mongo_common
import postgres.drills.common as postgres_common
from cluster.context import Context
from cluster.drill.contracts import (
    Drill,
    DrillSpec,
    Effect,
    Fault,
    Prediction,
    Seen,
    Stage,
    Stream,
    Timings,
)
from mongo import live, nodes
from postgres import patroni, wholeness
from postgres.drills.skips import no_standby
from postgres.observer import ScopeObserver
from postgres.scopes import primary_scope
from skillswap_ops.healing import all_healers
from skillswap_ops.machine_drills.forecast import SIMULATIONS
from skillswap_ops.wholeness import lacks

RATE = 20.0  # of each segment: a laptop's processors carry elections of every set beside it
AWAY_SECONDS = 15.0  # the machines stay away so long at least, whatever has recovered by then
Choose = Callable[[Context, Seen, Random], Fault]


def drill(context: Context, spec: DrillSpec, choose: Choose) -> Drill:
    """Every segment and the payments written to, while what the primary runs on goes away."""
    scope = primary_scope(context)
    return Drill(
        name=spec.name,
        hypothesis=spec.hypothesis,
        group=scope.name,
        streams=(*_segments(context), *postgres_common.streams(context, scope)),
        observers=(
            *mongo_common.observers(context, *nodes.shards(context)),
            ScopeObserver(context, scope),
        ),
        stages=(Stage(partial(choose, context)),),
        healers=all_healers(context),
        preflight=partial(_preflight, context),
        converged=lambda: lacks(context) or None,
        settings=partial(_settings, context),
        versions=lambda: {**live.versions(context), **wholeness.versions(context)},
        effect=Effect.NEW_LEADER,
        prediction=_prediction(context, spec),
        timings=Timings(
            phase=float(context.topology.postgres.timings.loop_wait), hold=AWAY_SECONDS
        ),
    )


def _prediction(context: Context, spec: DrillSpec) -> Prediction:
    config = patroni.config(patroni.leader_of(primary_scope(context)))
    return SIMULATIONS[spec.name](config, context.topology.edge.checks).prediction


def no_spare(context: Context) -> str:
    """Why a machine cannot be spared; "" if it can. Reads the topology alone."""
    return no_standby(context) or mongo_common.no_second(context)


def _segments(context: Context) -> tuple[Stream, ...]:
    """A shard whose primary is elsewhere elects nobody, so that no election is asked for."""
    promise = replace(mongo_common.restored(context), election=None)
    shards = [shards[0] for shards in context.topology.mongo.segments.values()]
    made = (mongo_common.stream(context, one, promise, retries=True) for one in shards)
    return tuple(replace(one, rate=RATE) for one in made)


def _preflight(context: Context) -> Sequence[str]:
    sick = lacks(context)
    return [sick] if sick else []


def _settings(context: Context) -> Mapping[str, str]:
    return {**mongo_common.settings(context), **wholeness.effective_settings(context)}
