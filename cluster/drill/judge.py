"""From a run's measures to its verdict: every checker, each on its own feet.

A checker that crashes is unknown. A promise about *time* that the harness's own stall may have
broken is unknown too; a lost write is lost, stall or not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from cluster.drill import judge_streams
from cluster.drill.checkers.alerts import alerts_seen
from cluster.drill.checkers.leadership import effect_missing, split_brains
from cluster.drill.checkers.rounds import ROUNDS
from cluster.drill.evidence import load_run
from cluster.drill.measures import Measures
from cluster.drill.verdict import Finding, Verdict, conclude, invalid, unknown, valid

T = TypeVar("T")
Check = Callable[[Measures], Iterable[Finding]]


def judge(measures: Measures, extra: Mapping[str, Check] | None = None) -> Verdict:
    """The verdict. `extra` holds the engine's own checkers, by the names in the run's config."""
    findings = [
        *_run_checks(measures, RUN_CHECKS),
        *_run_checks(measures, _wanted(measures, extra or {})),
    ]
    return conclude(findings, measures.run.timeline.not_undone)


def recheck(folder: Path, extra: Mapping[str, Check] | None = None) -> Verdict:
    """The verdict of a run, computed from its folder alone. Raises as `load_run` does."""
    return judge(Measures(load_run(folder)), extra)


def _wanted(measures: Measures, extra: Mapping[str, Check]) -> dict[str, Check]:
    names = measures.run.config.checks
    return {name: extra.get(name, _not_known(name)) for name in names}


def _not_known(name: str) -> Check:
    return lambda _: [unknown(name, "this checker is not known here")]


def _run_checks(
    about: T, checks: Mapping[str, Callable[[T], Iterable[Finding]]]
) -> Iterator[Finding]:
    for name, check in checks.items():
        try:
            yield from list(check(about))
        except Exception as error:  # noqa: BLE001 - a crashed checker has not said "valid"
            yield unknown(name, f"the checker failed: {type(error).__name__}: {error}")


def _preconditions(measures: Measures) -> Iterator[Finding]:
    for what in measures.run.timeline.unmet:
        yield unknown("preconditions", what)


def _trouble(measures: Measures) -> Iterator[Finding]:
    for by in measures.run.timeline.interrupted:
        yield unknown("course", f"interrupted by {by}")
    for what in dict.fromkeys(measures.run.timeline.troubles):
        yield unknown("course", what)
    if measures.run.timeline.load_began_ns and measures.run.timeline.load_stopped_ns is None:
        yield unknown("course", "the run was cut off: its load was never stopped")


def _undo(measures: Measures) -> Iterator[Finding]:
    for fault in measures.run.timeline.not_undone:
        yield unknown("undo", f"still in place: {fault}")


def _ledger(measures: Measures) -> Iterator[Finding]:
    ledger = measures.run.ledger
    if measures.run.timeline.load_began_ns is None:
        return
    if ledger is None or ledger.damage:
        yield unknown("ledger", ledger.damage if ledger else "the ledger is missing")
    elif ledger.torn_bytes and measures.run.timeline.load_stopped_ns is not None:
        yield unknown("ledger", f"torn at its end ({ledger.torn_bytes} bytes) after a clean stop")
    else:
        operations = sum(map(len, ledger.streams.values()))
        yield valid("ledger", f"{operations:,} operations, every record whole")


def _fault(measures: Measures) -> Iterator[Finding]:
    if measures.fault is None:
        yield unknown("fault", "no fault was proved to have hit")
        return
    for injection in measures.run.timeline.injections:
        yield valid("fault", f"{injection.fault}: {injection.proof}")
    config = measures.run.config
    missing = effect_missing(measures.samples(config.group), measures.fault.began_ns, config.effect)
    if missing:
        yield unknown("effect", f"the fault did not have its effect: {missing}", config.group)
    else:
        yield valid("effect", str(config.effect), config.group)


def _election(measures: Measures) -> Iterator[Finding]:
    group = measures.run.config.group
    limits = [
        stream.promise.election
        for stream in measures.run.config.streams
        if stream.group == group and stream.promise.election is not None
    ]
    if not limits or measures.fault is None:
        return
    seconds = measures.since_fault(measures.elected_ns)
    if seconds is None:
        yield unknown("election", "no other leader was seen", group)
    elif seconds <= min(limits):
        yield valid("election", f"{seconds:.1f} s (promised {min(limits):g} s)", group)
    elif measures.doubt:
        yield unknown("election", f"{seconds:.1f} s, but {measures.doubt}", group)
    else:
        yield invalid("election", f"{seconds:.1f} s, promised {min(limits):g} s", group)


def _split_brain(measures: Measures) -> Iterator[Finding]:
    groups = {stream.group for stream in measures.run.config.streams}
    if measures.run.timeline.load_began_ns is None:
        return
    for group in sorted(groups | set(measures.run.timeline.samples)):
        samples = measures.samples(group)
        sightings = split_brains(samples)
        if not samples:
            yield unknown("split brain", "nobody watched who leads", group)
        for sighting in sightings:
            leaders = " and ".join(sighting.leaders)
            when = _when(measures, sighting.at_ns)
            if sighting.confirmed:
                yield invalid("split brain", f"{leaders} led at once, {when}", group)
            else:
                message = f"{leaders} seen to lead in one sample, {when}, and not in the next"
                yield unknown("split brain", message, group)
        if samples and not sightings:
            yield valid("split brain", "never more than one leader", group)


def _when(measures: Measures, ns: int) -> str:
    if measures.fault is None or ns < measures.fault.began_ns:
        return "before any fault"
    return f"{max(0.0, (ns - measures.fault.at_ns) / 1e9):.1f} s after the fault"


def _stalls(measures: Measures) -> Iterator[Finding]:
    least = measures.run.config.rules.stall
    of_rounds = ROUNDS in measures.run.config.checks
    if of_rounds and measures.stalls:
        longest = max(stall.seconds for stall in measures.stalls)
        often = f"{len(measures.stalls)} times, for {longest:.1f} s at most"
        yield valid("harness", f"stood still {often}: see the rounds that it did so in")
    for stall in measures.stalls if not of_rounds else ():
        yield unknown("harness", f"stood still for {stall.seconds:.1f} s ({stall.source})")
    if not measures.stalls and measures.run.timeline.load_began_ns:
        yield valid("harness", f"never stood still for more than {least:g} s")
    if overloads := measures.run.timeline.overloads:
        message = f"waited for a processor {max(overloads):.0%} of the time at worst: no promise "
        yield valid("machine", message + "about time is judged broken here")


def _settings(measures: Measures) -> Iterator[Finding]:
    readings = measures.run.timeline.settings
    before = next((reading.values for reading in readings if reading.when == "before"), None)
    if before is None:
        return
    changes = {
        f"{key} was {before.get(key, 'absent')}, {reading.when} the fault {value}"
        for reading in readings
        if reading.when == "during"
        for key, value in reading.values.items()
        if before.get(key) != value
    }
    for change in sorted(changes):
        yield unknown("settings", change)
    if not changes and before and any(reading.when == "during" for reading in readings):
        yield valid("settings", f"{len(before)} effective settings did not change")


def _converged(measures: Measures) -> Iterator[Finding]:
    converged = measures.run.timeline.converged
    if converged is None:
        return
    if converged.missing:
        seconds = measures.run.config.timings.converge_within
        message = f"not whole {seconds:g} s after the undo: {converged.missing}"
        yield invalid("convergence", message)
    else:
        yield valid("convergence", "the cluster is whole again")


def _streams(measures: Measures) -> Iterator[Finding]:
    ledger = measures.run.ledger
    if ledger is None or ledger.damage:
        return
    for stream in measures.streams:
        yield from _run_checks(stream, judge_streams.CHECKS)


RUN_CHECKS: dict[str, Check] = {
    "preconditions": _preconditions,
    "course": _trouble,
    "undo": _undo,
    "ledger": _ledger,
    "fault": _fault,
    "streams": _streams,
    "election": _election,
    "split brain": _split_brain,
    "harness": _stalls,
    "settings": _settings,
    "convergence": _converged,
    "alerts": alerts_seen,
}
