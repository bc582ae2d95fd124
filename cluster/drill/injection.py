"""Faults go in through the journal, and come out of it: never one without the other."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cluster.drill.contracts import Fault, Healer
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Injected,
    Injecting,
    UndoFailed,
    Undoing,
    Undone,
    WorkFailed,
)
from cluster.drill.evidence import EVENTS, RUNS
from cluster.drill.journal import Entry, Healed, Journal, heal
from cluster.errors import OpsError, RefusedError
from cluster.target import Hit


class WorkFailedError(OpsError):
    """What a fault did is day-2 work, which must succeed, and it did not."""


def inject(
    fault: Fault,
    entry_id: str,
    run: str,
    journal: Journal,
    healers: Mapping[str, Healer],
    events: EventLog,
) -> Hit:
    """Write down how to undo it, then do it. Raises RefusedError where nobody could undo it.

    What goes wrong after that leaves the entry open, to be healed.
    """
    if fault.undo.kind not in healers:
        raise RefusedError(f"{fault.name}: nothing here knows how to undo {fault.undo.kind}")
    opened = datetime.now(UTC).isoformat(timespec="microseconds")
    journal.open(Entry(id=entry_id, run=run, fault=fault.name, opened=opened, undo=fault.undo))
    events.add(Injecting(entry=entry_id, fault=fault.name, undo=fault.undo))
    began = time.monotonic_ns()
    try:
        hit = fault.inject()
    except WorkFailedError as error:
        events.add(WorkFailed(work=fault.name, why=error.message))
        raise
    events.add(
        Injected(
            entry=entry_id,
            fault=fault.name,
            began_ns=began,
            at_ns=round(hit.at * 1e9),
            proof=hit.proof,
        )
    )
    return hit


def undo_run(
    run: str, journal: Journal, healers: Mapping[str, Healer], events: EventLog
) -> tuple[Healed, ...]:
    """Undo what a run has in place; a second time where the first try failed."""
    results = heal(journal, healers, lambda entry: _tell_begin(events, entry), run)
    if any(result.error for result in results):
        results = heal(journal, healers, lambda entry: _tell_begin(events, entry), run)
    for result in results:
        _tell_end(events, result)
    return results


def heal_all(
    drills: Path,
    healers: Mapping[str, Healer],
    on_begin: Callable[[Entry], None] = lambda _: None,
) -> tuple[Healed, ...]:
    """Undo every open fault of a cluster (`drill heal`), and say so in the runs' events.

    Look at each result's `error`. The caller holds the cluster's lock, for a run that is under way
    has its faults in the journal too.
    """
    results = heal(Journal(drills), healers, on_begin)
    for result in results:
        path = drills / RUNS / result.entry.run / EVENTS
        if path.exists():
            events = EventLog(path, time.monotonic_ns, datetime.now(UTC), lambda _: None)
            _tell_end(events, result)
            events.close()
    return results


def _tell_begin(events: EventLog, entry: Entry) -> None:
    events.add(Undoing(entry=entry.id, fault=entry.fault))


def _tell_end(events: EventLog, result: Healed) -> None:
    entry = result.entry
    events.add(
        UndoFailed(entry=entry.id, fault=entry.fault, error=result.error)
        if result.error
        else Undone(entry=entry.id, fault=entry.fault)
    )
