"""chaos-soak: faults and day-2 work of both engines, one after another, under one load over all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import mongo.drills
import postgres.drills
from cluster.context import Context
from cluster.drill.checkers.rounds import ROUNDS
from cluster.drill.contracts import (
    Availability,
    Drill,
    DrillSpec,
    Effect,
    Fault,
    Observer,
    Prediction,
    Promise,
    Round,
    Rounds,
    Seen,
    Stage,
    Step,
    Stream,
    Timings,
)
from cluster.drill.steps import unknown_names
from cluster.errors import InvalidInputError
from cluster.target import CanKill
from mongo import nodes
from mongo.drill_checks import COPIES
from mongo.drills.common import first_set
from mongo.drills.copies import copies_of, write_copies
from mongo.drills.primary_kill import PRIMARY_KILL
from mongo.faults.primary_freeze import primary_freeze
from mongo.faults.primary_isolation import primary_isolation
from mongo.faults.who import primary_of
from postgres.drills.node_kill import NODE_KILL
from skillswap_ops import soak_work
from skillswap_ops.healing import all_healers
from skillswap_ops.wholeness import lacks

SECONDS = 300.0
HOLD = (5.0, 30.0)  # seconds: from less than any election to more than Patroni's lease
OVERHEAD = 60.0  # seconds: what a run takes besides its rounds

# Whose faults leave an undamaged cluster that is whole again by itself, and no data elsewhere: no
# control, nothing that takes a majority away, nothing that asks for a load of its own.
SAFE = (
    "mongo-primary-kill",
    "mongo-primary-freeze",
    "mongo-stepdown",
    "mongo-primary-isolated",
    "mongo-secondary-loss",
    "mongo-router-loss",
    "mongo-slow-member",
    "pg-node-kill",
    "pg-postmaster-kill",
    "pg-switchover",
    "pg-patroni-freeze",
    "pg-primary-isolated",
    "pg-sync-standby-loss",
    "edge-proxy-loss",
)


def lengthened(drill: Drill, minutes: float) -> Drill:
    """The soak with faults for so many minutes. Raises InvalidInputError for another drill."""
    if drill.rounds is None:
        raise InvalidInputError(f"{drill.name} is over when it is; minutes are for {SOAK.name}")
    return replace(drill, rounds=replace(drill.rounds, seconds=minutes * 60))


def with_steps(drill: Drill, steps: Sequence[Step]) -> Drill:
    """The soak with exactly these rounds. Raises InvalidInputError for one that it has not."""
    if drill.rounds is None:
        raise InvalidInputError(f"{drill.name} has no rounds; steps are for {SOAK.name}")
    known = [each.name for each in drill.rounds.pool]
    if unknown := unknown_names(steps, known):
        raise InvalidInputError(
            f"{SOAK.name} has no round {', '.join(unknown)} here", f"it has: {', '.join(known)}"
        )
    return replace(drill, rounds=replace(drill.rounds, steps=tuple(steps)))


def pool(context: Context) -> Iterator[DrillSpec]:
    """Those whose faults this topology, this machine and this user can do."""
    specs = {spec.name: spec for spec in (*mongo.drills.DRILLS, *postgres.drills.DRILLS)}
    for name in SAFE:
        spec = specs[name]
        if not spec.skip(context) and not any(map(context.target.lacks, spec.needs)):
            yield spec


def chaos_soak(context: Context) -> Drill:
    """All engines' load, watched and held to the SLA, while their faults come and go."""
    return under_load(context, SOAK, Rounds(tuple(_rounds(context)), SECONDS, HOLD))


def under_load(context: Context, spec: DrillSpec, rounds: Rounds) -> Drill:
    """These rounds under the load of both engines, whose outages are held to the SLA's RTO."""
    engines = PRIMARY_KILL.build(context), NODE_KILL.build(context)
    first, streams = engines[0], tuple(_streams(context, engines))
    return Drill(
        name=spec.name,
        hypothesis=spec.hypothesis,
        group=first.group,
        streams=streams,
        observers=tuple(observer for drill in engines for observer in drill.observers),
        stages=(),
        healers=all_healers(context),
        preflight=lambda: [unmet for drill in engines for unmet in drill.preflight()],
        converged=lambda: lacks(context) or None,
        settings=lambda: _merged(drill.settings for drill in engines),
        versions=lambda: _merged(drill.versions for drill in engines),
        effect=Effect.ANY,
        prediction=Prediction(),
        timings=Timings(phase=max(drill.timings.phase for drill in engines)),
        collect=partial(_collect, context, engines, streams),
        checks=tuple(dict.fromkeys((ROUNDS, COPIES, *first.checks, *engines[1].checks))),
        logs={name: path for drill in engines for name, path in drill.logs.items()},
        configuration=lambda: _merged(drill.configuration for drill in engines),
        rounds=rounds,
    )


SOAK = DrillSpec(
    name="chaos-soak",
    hypothesis="Whatever dies, freezes or is cut off, and whatever is done to it on an ordinary "
    "day, one after another at random times: no acknowledged write is lost, never two lead at "
    "once, every outage is within its RTO, work succeeds, and all members end with equal data.",
    fault="a random sequence of kills, freezes and isolations of both engines, and of step-downs, "
    "switchovers, members copied anew and rolling restarts",
    must_hold="every invariant, all the time",
    seconds=SECONDS + OVERHEAD,
    build=chaos_soak,
    needs=(CanKill,),
    tags=frozenset({"mongo", "postgres", "soak"}),
)


def _rounds(context: Context) -> Iterator[Round]:
    for spec in pool(context):
        drill = spec.build(context)
        _close(drill.observers)
        own = LEADS_NOW.get(spec.name)
        yield Round(spec.name, (Stage(partial(own, context)),) if own else drill.stages)
    yield from soak_work.rounds(context)


def _freeze(context: Context, seen: Seen, chance: Random) -> Fault:
    hurt = first_set(context).name
    return primary_freeze(context, hurt, lambda: primary_of(hurt, seen), seen, chance)


def _isolate(context: Context, seen: Seen, chance: Random) -> Fault:
    hurt = first_set(context)
    return primary_isolation(context, hurt, lambda: primary_of(hurt.name, seen), seen, chance)


# Their drills hit the member that a stream of theirs writes to, a soak whoever leads by then.
LEADS_NOW: Mapping[str, Callable[[Context, Seen, Random], Fault]] = {
    "mongo-primary-freeze": _freeze,
    "mongo-primary-isolated": _isolate,
}


def _streams(context: Context, engines: Sequence[Drill]) -> Iterator[Stream]:
    """The engines' own load; no outage may be longer than the SLA's RTO, whatever caused it."""
    sla = context.topology.sla
    for drill, rto in zip(engines, (sla.mongo.rto, sla.postgres.rto), strict=True):
        for stream in drill.streams:
            yield replace(stream, promise=Promise(Availability.UNTOUCHED, rto=rto))


def _close(observers: Sequence[Observer]) -> None:
    for observer in observers:
        observer.close()


def _merged(read: Iterator[Callable[[], Mapping[str, str]]]) -> dict[str, str]:
    return {name: value for each in read for name, value in each().items()}


def _collect(
    context: Context, engines: Sequence[Drill], streams: Sequence[Stream], folder: Path
) -> None:
    for drill in engines:
        drill.collect(folder)
    written = {stream.group for stream in streams}
    sets = [one for one in nodes.shards(context) if one.name in written]
    compared = (copies_of(context, one, streams) for one in sets)
    write_copies(folder, {what: found for each in compared for what, found in each.items()})
