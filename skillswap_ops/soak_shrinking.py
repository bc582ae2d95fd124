"""A soak that failed: which of its steps are needed for that, tried on the cluster itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cluster.drill.checkers.rounds import failing_round
from cluster.drill.contracts import Step
from cluster.drill.eventlog import EventLog, read_events
from cluster.drill.events import Note
from cluster.drill.evidence import EVENTS
from cluster.drill.report import RunSummary, write_summary
from cluster.drill.shrink import Shrunk, shrink
from cluster.drill.steps import begun, text_of
from cluster.drill.verdict import Conclusion, Validity

Again = Callable[[tuple[Step, ...]], RunSummary | str]
"""Runs a soak of these steps on a whole cluster; text says why it could not, and none can follow"""


@dataclass(frozen=True)
class Failure:
    """What a soak failed of: the checks that said so, and the steps up to that one."""

    checks: frozenset[str]
    steps: tuple[Step, ...]


class _CannotGoOn(Exception):  # noqa: N818 - an end that is expected
    """No more runs can be made."""


def failure_of(summary: RunSummary) -> Failure | None:
    """What to look for again; None where nothing failed, or the cluster must not be touched.

    A failure that no round shows by itself (a lost write) may need any of them.
    """
    if summary.conclusion is not Conclusion.FAIL or summary.not_undone or summary.interrupted:
        return None
    steps = begun(read_events(summary.folder / EVENTS))
    number = failing_round(summary.findings)
    return Failure(_broken(summary), steps[:number]) if steps else None


def shrunk(summary: RunSummary, most_tries: int, again: Again) -> RunSummary:
    """The summary of a failed soak, with the shortest sequence that was found noted in it.

    Each try is a run of its own, with a folder of its own. Any other summary comes back as it is.
    """
    failure = failure_of(summary)
    if failure is None:
        return summary
    stopped: list[str] = []

    def fails(steps: tuple[Step, ...]) -> bool:
        run = again(steps)
        if isinstance(run, str):
            stopped.append(run)
            raise _CannotGoOn
        if run.not_undone or run.interrupted:
            stopped.append(f"run {run.run} was not finished")
        return run.conclusion is Conclusion.FAIL and bool(_broken(run) & failure.checks)

    found = _shrink(failure.steps, fails, stopped, most_tries)
    return _noted(summary, words(summary.seed, failure, found, stopped))


def _shrink(
    steps: Sequence[Step],
    fails: Callable[[tuple[Step, ...]], bool],
    stopped: Sequence[str],
    most_tries: int,
) -> Shrunk[Step]:
    """As `shrink`, ended by a cluster on which no more can be tried."""
    known: dict[tuple[Step, ...], bool] = {}

    def once(part: tuple[Step, ...]) -> bool:
        if stopped:
            return False
        try:
            known[part] = fails(part)
        except _CannotGoOn:
            return False
        return known[part]

    found = shrink(steps, once, most_tries)
    return replace(found, tries=len(known), minimal=found.minimal and not stopped)


def words(seed: int, failure: Failure, found: Shrunk[Step], stopped: Sequence[str]) -> str:
    """What was found, and the command that runs it again."""
    count, whole = len(found.steps), len(failure.steps)
    if found.reproduced:
        least = "no fewer fail" if found.minimal else "perhaps fewer would do"
        said = f"{count} of {whole} steps fail as all did ({found.tries} tries; {least})"
    elif found.tries:
        said = f"no part of the {whole} steps failed again in {found.tries} tries"
    else:
        said = f"the {whole} steps up to the failure"
    ended = f"; {stopped[0]}" if stopped else ""
    return f"{said}{ended}: {command(seed, found.steps)}"


def command(seed: int, steps: Sequence[Step]) -> str:
    """What a person types to run these steps again."""
    return f'skillswap-ops drill run chaos-soak --seed {seed} --steps "{text_of(steps)}"'


def _broken(summary: RunSummary) -> frozenset[str]:
    return frozenset(each.check for each in summary.findings if each.validity is Validity.INVALID)


def _noted(summary: RunSummary, text: str) -> RunSummary:
    """Also in the run's events, so that the verdict computed again from disk has it."""
    events = EventLog(summary.folder / EVENTS, time.monotonic_ns, datetime.now(UTC), lambda _: None)
    events.add(Note(text=text))
    events.close()
    noted = replace(summary, notes=(*summary.notes, text))
    write_summary(noted)
    return noted
