"""Runs drills on the selected cluster, one at a time, under its lock."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import mongo.effective
import postgres.effective
from cluster.clock import SYSTEM_CLOCK
from cluster.context import Context
from cluster.drill import injection
from cluster.drill.contracts import Drill, DrillSpec, Step
from cluster.drill.evidence import runs
from cluster.drill.journal import Entry, Healed, Journal
from cluster.drill.publish.logs import server_logs
from cluster.drill.rates import at_rate
from cluster.drill.report import RunSummary
from cluster.drill.runner import Options, conclude, run_drill
from cluster.errors import InvalidInputError, OpsError
from cluster.lock import exclusive
from skillswap_ops import __version__, tracing
from skillswap_ops.catalogue import all_checks, all_drills
from skillswap_ops.drill_alerts import alerts_of
from skillswap_ops.drill_records import take_in
from skillswap_ops.drill_series import (
    End,
    NotRun,
    Onlooker,
    Turn,
    Wishes,
    not_whole,
    run_series,
)
from skillswap_ops.engines import all_servers
from skillswap_ops.healing import all_healers
from skillswap_ops.soak import lengthened, with_steps
from skillswap_ops.soak_shrinking import shrunk
from skillswap_ops.wholeness import lacks

SEED_RANGE = 10**6


def any_seed() -> int:
    """A seed of chance, short enough to be typed again."""
    return secrets.randbelow(SEED_RANGE)


def chosen(names: Sequence[str]) -> tuple[DrillSpec, ...]:
    """The drills of these names, each once. Raises InvalidInputError for one that there is not."""
    catalogue = {spec.name: spec for spec in all_drills()}
    unknown = [name for name in names if name not in catalogue]
    if unknown:
        raise InvalidInputError(
            f"there is no drill {', '.join(unknown)}", f"there are: {', '.join(catalogue)}"
        )
    return tuple(catalogue[name] for name in dict.fromkeys(names))


def tagged(tags: Sequence[str]) -> tuple[DrillSpec, ...]:
    """The drills that have any of these tags, all without one.

    Raises InvalidInputError for a tag that no drill has.
    """
    known = {tag for spec in all_drills() for tag in spec.tags}
    unknown = [tag for tag in tags if tag not in known]
    if unknown:
        raise InvalidInputError(
            f"no drill is tagged {', '.join(unknown)}", f"there are: {', '.join(sorted(known))}"
        )
    return tuple(spec for spec in all_drills() if not tags or spec.tags & set(tags))


def why_skipped(context: Context, spec: DrillSpec) -> str:
    """Why a drill cannot be done here and by this user; "" if it can."""
    lacking = (context.target.lacks(need) for need in spec.needs)
    return spec.skip(context) or next(filter(None, lacking), "")


def turns(context: Context, specs: Sequence[DrillSpec], wishes: Wishes) -> tuple[Turn, ...]:
    """What is to be run, in order; a drill that is skipped has one turn."""
    return tuple(_turns(context, specs, wishes))


def _turns(context: Context, specs: Sequence[DrillSpec], wishes: Wishes) -> Iterator[Turn]:
    for spec in specs:
        why = why_skipped(context, spec)
        for number in range(1 if why else wishes.repeat):
            yield Turn(spec, number, wishes.seed + number, why)


def run_drills(
    context: Context, todo: Sequence[Turn], wishes: Wishes, onlooker: Onlooker
) -> list[End]:
    """Run drills in turn, holding the cluster's lock.

    Raises RefusedError, before anything, while a fault of an earlier run is in place.
    """
    with exclusive(context.layout.lock, "drill run"):
        Journal(context.layout.drills).refuse_if_open()
        return run_series(
            todo,
            wishes,
            lambda turn: _run_and_shrink(context, turn, wishes, onlooker),
            lambda: lacks(context),
            onlooker,
        )


def _run_and_shrink(
    context: Context, turn: Turn, wishes: Wishes, onlooker: Onlooker
) -> RunSummary | NotRun:
    """One run; of a soak that failed, the steps that it needs for that are looked for."""
    first = _run(context, turn, wishes, onlooker)
    if isinstance(first, NotRun) or not wishes.shrink:
        return first
    latest = [first]

    def again(steps: tuple[Step, ...]) -> RunSummary | str:
        if why := not_whole(latest[-1], wishes, lambda: lacks(context), onlooker, SYSTEM_CLOCK):
            return why
        run = _run(context, turn, replace(wishes, steps=steps), onlooker)
        if isinstance(run, NotRun):
            return run.why
        latest.append(run)
        return run

    return shrunk(first, wishes.shrink, again)


def _run(context: Context, turn: Turn, wishes: Wishes, onlooker: Onlooker) -> RunSummary | NotRun:
    options = Options(
        turn.seed,
        __version__,
        keep_data=wishes.keep_data,
        phase=wishes.phase,
        cluster=context.topology.name,
        secrets=partial(_secrets, context),
    )
    try:
        drill = _with_evidence(context, turn.spec.build(context))
        drill = drill if wishes.rate is None else at_rate(drill, wishes.rate)
        drill = drill if wishes.minutes is None else lengthened(drill, wishes.minutes)
        drill = with_steps(drill, wishes.steps) if wishes.steps else drill
    except OpsError as error:
        return NotRun(turn.spec.name, error.message)
    hooks = onlooker.begins(turn)
    summary = run_drill(drill, context.layout.drills, options, hooks, all_checks())
    take_in(context)
    tracing.tell_run(summary)
    return summary


def _with_evidence(context: Context, drill: Drill) -> Drill:
    """The drill with its alerts watched, every server's log and every configuration kept."""
    return replace(
        drill,
        alerts=alerts_of(context, drill.name),
        logs=server_logs(context.layout, all_servers(context)) | dict(drill.logs),
        configuration=lambda: {
            **mongo.effective.configuration(context),
            **postgres.effective.configuration(context),
            **drill.configuration(),
        },
    )


def _secrets(context: Context) -> Iterator[str]:
    return (secret.get_secret_value() for secret in context.secrets.known())


def heal_all(context: Context, on_begin: Callable[[Entry], None]) -> tuple[Healed, ...]:
    """Undo every fault that is still in place."""
    with exclusive(context.layout.lock, "drill heal"):
        return injection.heal_all(context.layout.drills, all_healers(context), on_begin)


def find_run(context: Context, name: str | None) -> Path:
    """The folder of a run, by any part of its name; the newest one without a name.

    Raises InvalidInputError where there is none, or several.
    """
    known = runs(context.layout.drills)
    found = [folder for folder in known if name is None or name in folder.name]
    if not found:
        raise InvalidInputError(
            f"there is no run {name or ''} of cluster {context.topology.name}".replace("  ", " "),
            "`skillswap-ops drill run NAME` makes one",
        )
    if name and len(found) > 1:
        raise InvalidInputError(
            f"{name} may be any of {', '.join(folder.name for folder in found[-5:])}",
            "give more of its name",
        )
    return found[-1]


def reported(folder: Path) -> RunSummary:
    """A run's summary, computed again from its evidence."""
    return conclude(folder, all_checks())
