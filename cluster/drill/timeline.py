"""What the events of a run say, sorted by question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cluster.drill.contracts import Observation
from cluster.drill.events import (
    AlertChanged,
    AlertsWatched,
    Converged,
    Event,
    Injected,
    Injecting,
    Interrupted,
    LoadBegan,
    LoadStopped,
    Note,
    Observed,
    Overload,
    Phase,
    PhaseBegan,
    ReadBack,
    ReasonSeen,
    Settings,
    Stall,
    Trouble,
    Undoing,
    Undone,
    Unmet,
    Versions,
)

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True)
class Sample:
    """A change of a group, seen by a sample that began and ended then; see `events.Observed`."""

    began_ns: int
    ended_ns: int
    observation: Observation
    lasted: int = 0


@dataclass(frozen=True)
class Injection:
    """A fault that was proved to have hit; `undoing_ns` is when its undo began, if it did."""

    entry: str
    fault: str
    began_ns: int
    at_ns: int
    proof: str
    undoing_ns: int | None
    undone_ns: int | None


@dataclass(frozen=True)
class Stalled:
    """The harness stood still."""

    from_ns: int
    until_ns: int
    source: str

    @property
    def seconds(self) -> float:
        """For how long."""
        return (self.until_ns - self.from_ns) / 1e9


@dataclass(frozen=True)
class AlertChange:
    """An alert fires from then on, or no more."""

    ns: int
    alert: str
    firing: bool


@dataclass(frozen=True)
class Timeline:
    """A run's events, sorted by question."""

    phases: tuple[tuple[Phase, int], ...]  # with when they began, monotonic ns
    unmet: tuple[str, ...]
    versions: dict[str, str]
    settings: tuple[Settings, ...]
    load_began_ns: int | None
    load_stopped_ns: int | None
    injections: tuple[Injection, ...]
    not_undone: tuple[str, ...]  # faults that were begun, and no undo succeeded
    samples: dict[str, tuple[Sample, ...]]  # by group
    converged: Converged | None
    reasons: dict[int, str]
    stalls: tuple[Stalled, ...]
    overloads: tuple[float, ...]  # the shares of some seconds each that something had to wait
    read_back: dict[str, ReadBack]  # by stream
    interrupted: tuple[str, ...]
    troubles: tuple[str, ...]
    notes: tuple[str, ...]
    alerts: dict[str, float]  # expected, with the seconds they may take; none: no monitoring
    alert_changes: tuple[AlertChange, ...]


def timeline(events: Sequence[Event]) -> Timeline:
    """Sort a run's events."""
    facts = [event.what for event in events]
    undone = {fact.entry for fact in facts if isinstance(fact, Undone)}
    begun = {fact.entry: fact.fault for fact in facts if isinstance(fact, Injecting)}
    return Timeline(
        phases=tuple((e.what.phase, e.ns) for e in events if isinstance(e.what, PhaseBegan)),
        unmet=tuple(fact.precondition for fact in facts if isinstance(fact, Unmet)),
        versions=_last((f.versions for f in facts if isinstance(f, Versions)), {}),
        settings=tuple(fact for fact in facts if isinstance(fact, Settings)),
        load_began_ns=_last((f.at_ns for f in facts if isinstance(f, LoadBegan)), None),
        load_stopped_ns=_last((f.until_ns for f in facts if isinstance(f, LoadStopped)), None),
        injections=_injections(events),
        not_undone=tuple(fault for entry, fault in begun.items() if entry not in undone),
        samples=_samples(events),
        converged=_last((fact for fact in facts if isinstance(fact, Converged)), None),
        reasons={fact.code: fact.text for fact in facts if isinstance(fact, ReasonSeen)},
        stalls=tuple(
            Stalled(e.ns - round(e.what.seconds * 1e9), e.ns, e.what.source)
            for e in events
            if isinstance(e.what, Stall)
        ),
        overloads=tuple(fact.share for fact in facts if isinstance(fact, Overload)),
        read_back={fact.stream: fact for fact in facts if isinstance(fact, ReadBack)},
        interrupted=tuple(fact.by for fact in facts if isinstance(fact, Interrupted)),
        troubles=tuple(fact.what for fact in facts if isinstance(fact, Trouble)),
        notes=tuple(fact.text for fact in facts if isinstance(fact, Note)),
        alerts=_last((fact.expected for fact in facts if isinstance(fact, AlertsWatched)), {}),
        alert_changes=tuple(
            AlertChange(e.ns, e.what.alert, e.what.firing)
            for e in events
            if isinstance(e.what, AlertChanged)
        ),
    )


def _last(values: Iterable[T], default: D) -> T | D:
    found: T | D = default
    for value in values:
        found = value
    return found


def _injections(events: Sequence[Event]) -> tuple[Injection, ...]:
    undoing = {e.what.entry: e.ns for e in reversed(events) if isinstance(e.what, Undoing)}
    undone = {e.what.entry: e.ns for e in events if isinstance(e.what, Undone)}
    return tuple(
        Injection(
            fact.entry,
            fact.fault,
            fact.began_ns,
            fact.at_ns,
            fact.proof,
            undoing.get(fact.entry),
            undone.get(fact.entry),
        )
        for fact in (event.what for event in events)
        if isinstance(fact, Injected)
    )


def _samples(events: Sequence[Event]) -> dict[str, tuple[Sample, ...]]:
    groups: dict[str, list[Sample]] = {}
    for event in events:
        if isinstance(event.what, Observed):
            sample = Sample(
                event.what.began_ns, event.ns, event.what.observation, event.what.lasted
            )
            groups.setdefault(event.what.group, []).append(sample)
    return {group: tuple(samples) for group, samples in groups.items()}
