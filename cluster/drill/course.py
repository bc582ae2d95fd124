"""The phases of a run, each a method; `runner` decides their order and what may be skipped."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Literal

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.drill.alert_watch import AlertWatch
from cluster.drill.checkers.availability import Steady
from cluster.drill.checkers.leadership import elected_ns
from cluster.drill.contracts import Availability, Drill, Effect, Stage, Stream
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Converged,
    Happening,
    LoadBegan,
    LoadStopped,
    Note,
    Overload,
    Phase,
    PhaseBegan,
    ReadBack,
    Settings,
    Stall,
    Trouble,
    Unmet,
    Versions,
)
from cluster.drill.evidence import COLLECTED, LEDGER, Rules, write_read_back
from cluster.drill.injection import inject, undo_run
from cluster.drill.journal import Journal
from cluster.drill.ledger import LedgerWriter
from cluster.drill.load import Load
from cluster.drill.meter import Live
from cluster.drill.pressure import Gauge
from cluster.drill.publish.keeping import Keeper
from cluster.drill.publish.mask import UNMASKED, Mask
from cluster.drill.recorder import Recorder
from cluster.drill.stall import Ticker
from cluster.drill.watch import Watch
from cluster.errors import InconclusiveError, OpsError, UnreachableError

POLL = 0.1  # seconds
POLL_CLUSTER = 0.5  # seconds between two looks at whether it is whole
FIRST_SAMPLES = 10.0  # seconds for every observer to have seen its leader
CLEAR_SECONDS = 60.0  # of the alerts: two looks of the monitoring, and a server that answers again
STALL_WORTH_NOTING = 0.25  # seconds
SERVED_DURING = {Availability.RESTORED, Availability.UNTOUCHED}
SERVED_AFTER = {*SERVED_DURING, Availability.RESTORED_AFTER_UNDO}


class Course:
    """One run of a drill under way: everything that must be stopped again, and the phases."""

    def __init__(
        self,
        drill: Drill,
        run: str,
        folder: Path,
        journal: Journal,
        events: EventLog,
        rules: Rules,
        chance: Random,
        clock: Clock = SYSTEM_CLOCK,
        mask: Mask = UNMASKED,
    ) -> None:
        self.drill, self.run, self.folder = drill, run, folder
        self.events, self._journal, self._rules = events, journal, rules
        self.chance, self._clock = chance, clock
        self._keeper = Keeper(drill, folder, mask, self.tell)
        self._watches = [Watch(observer, events) for observer in drill.observers]
        self._alerts = AlertWatch(drill.alerts, events) if drill.alerts else None
        self._ticker = Ticker(self._stalled, STALL_WORTH_NOTING)
        self._gauge = Gauge(self._overloaded, rules.overload)
        self._ledger: LedgerWriter | None = None
        self._load: Load | None = None
        self._fault_ns: int | None = None
        self._undone_ns = 0

    @property
    def loaded(self) -> bool:
        """Has the load begun?"""
        return self._load is not None

    def live(self) -> tuple[Live, ...]:
        """The streams right now."""
        return self._load.live() if self._load else ()

    def preflight(self) -> None:
        """Look before anything is touched. Raises InconclusiveError where a precondition fails."""
        self.enter(Phase.PREFLIGHT)
        self.tell(Versions(versions=dict(self.drill.versions())))
        for watch in self._watches:
            watch.start()
        if self._alerts:
            self._alerts.start()
        self.wait(FIRST_SAMPLES, lambda: not self._leaderless())
        unmet = [*self._leaderless(), *self.drill.preflight()]
        for precondition in unmet:
            self.tell(Unmet(precondition=precondition))
        if unmet:
            raise InconclusiveError("not begun: a precondition is not met")
        self._read_settings("before")
        self._keeper.began()

    def prepare(self) -> None:
        """Make the places that are written to."""
        self.enter(Phase.PREPARE)
        for stream in self.drill.streams:
            stream.store.prepare(self.run)

    def baseline(self, offset: float) -> None:
        """Begin the load, and let it run for the baseline and `offset` seconds."""
        self.enter(Phase.BASELINE)
        ledger = self._ledger = LedgerWriter(self.folder / LEDGER, self.run)
        recorder = Recorder(ledger, self.events)
        load = self._load = Load(self.drill.streams, ledger, recorder, self._stalled)
        self._ticker.start()
        self._gauge.start()
        at = load.start()
        self.tell(LoadBegan(at_ns=at))
        self.wait(self.drill.timings.baseline + offset + (at - time.monotonic_ns()) / 1e9)

    def fault(self) -> None:
        """Choose and inject the faults, one after another."""
        self.enter(Phase.FAULT)
        self.break_stages(self.drill.stages, self.chance)

    def break_stages(self, stages: Sequence[Stage], chance: Random, label: str = "") -> None:
        """The faults of these stages; `label` tells their journal entries from those of others."""
        for number, stage in enumerate(stages, start=1):
            self.wait(stage.after)
            seen = {watch.group: watch.latest() for watch in self._watches}
            fault = stage.choose(seen, chance)
            entry = f"{self.run}-{label}{number}"
            self._keeper.fault()
            began = time.monotonic_ns()
            self._fault_ns = began if self._fault_ns is None else self._fault_ns
            inject(fault, entry, self.folder.name, self._journal, self.drill.healers, self.events)

    def recovery(self) -> None:
        """Wait until the fault has had its effect and the streams are served again."""
        self.enter(Phase.RECOVERY)
        timings = self.drill.timings
        held = time.monotonic() + timings.hold
        served = self._promised(SERVED_DURING)
        recovered = self.wait(
            max(timings.hold, timings.recover_within),
            lambda: time.monotonic() >= held and self._recovered(served),
        )
        if not recovered:
            self.tell(Note(text=f"not recovered within {timings.recover_within:g} s"))
        if self._alerts:
            # Twice its time: how late one comes is worth knowing.
            self.wait(2 * self._alerts.patience, self._alerts.all_fired)
        self._read_settings("during")

    def undo(self) -> bool:
        """Undo what is in place; whether all of it is undone.

        Raises nothing that a healer raises: the events say it.
        """
        if self._fault_ns is None:
            return True
        self.enter(Phase.UNDO)
        healed = undo_run(self.folder.name, self._journal, self.drill.healers, self.events)
        self._undone_ns = time.monotonic_ns()
        return not any(each.error for each in healed)

    def convergence(self) -> None:
        """Wait until the cluster is whole and the streams are steady on it."""
        if self._fault_ns is None:
            return
        self.enter(Phase.CONVERGENCE)
        timings = self.drill.timings
        deadline = time.monotonic() + timings.converge_within
        self._whole(deadline)
        served = self._promised(SERVED_AFTER)
        left = max(0.0, deadline - time.monotonic())
        self.wait(left, lambda: self._steady(served, self._undone_ns, self._rules.steady))
        self.wait(timings.after)
        self._read_settings("after")

    def well_again(self) -> bool:
        """Between two rounds: is the cluster whole in time, led, and its load served?"""
        self.enter(Phase.CONVERGENCE)
        deadline = time.monotonic() + self.drill.timings.converge_within
        whole = self._whole(deadline)
        served, steady = self._promised(SERVED_AFTER), self._rules.untouched
        left = max(0.0, deadline - time.monotonic())
        well = whole and self.wait(
            left,
            lambda: not self._leaderless() and self._steady(served, self._undone_ns, steady),
        )
        if whole and not well:
            seconds = self.drill.timings.converge_within
            self.tell(Trouble(what=f"whole, and not served within {seconds:g} s: it ended there"))
        return well

    def _whole(self, deadline: float) -> bool:
        """Wait until the cluster is whole, or the deadline (monotonic seconds); tells which."""
        missing = self._missing()
        while missing and time.monotonic() < deadline:
            self.wait(POLL_CLUSTER)
            missing = self._missing()
        self.tell(Converged(missing=missing))
        return not missing

    def stop(self) -> None:
        """End the load, and make the ledger whole. Idempotent."""
        self._ticker.stop()
        self._gauge.stop()
        load, self._load = self._load, None
        if load:
            self.enter(Phase.STOP)
            until, stuck = load.stop()
            self.tell(LoadStopped(until_ns=until, stuck=stuck))
            if load.failure:
                self.tell(Trouble(what=f"the load broke off: {load.failure}"))
        if self._ledger:
            with suppress(OSError):  # told already, by the load
                self._ledger.close()

    def silence(self) -> None:
        """Wait until the alerts that the fault fired have cleared."""
        if self._alerts and self._fault_ns is not None:
            self.wait(CLEAR_SECONDS, self._alerts.all_clear)

    def read_back(self) -> None:
        """Read every stream whole. A stream that cannot be read is said to be so."""
        self.enter(Phase.READ_BACK)
        for number, stream in enumerate(self.drill.streams, start=1):
            try:
                rows = write_read_back(self.folder, number, stream.store.read_back())
            except OpsError as error:
                self.tell(ReadBack(stream=stream.name, error=error.message))
            except Exception as error:  # noqa: BLE001 - the other streams are read all the same
                self.tell(ReadBack(stream=stream.name, error=f"{type(error).__name__}: {error}"))
            else:
                self.tell(ReadBack(stream=stream.name, rows=rows))

    def collect(self) -> None:
        """Keep logs and configuration, and let the engine add its evidence."""
        self.enter(Phase.COLLECT)
        self._keeper.ended()
        self.drill.collect(self._collected())

    def preserve(self) -> None:
        """Let the engine save what the undo will destroy."""
        self.drill.preserve(self._collected())

    def discard(self) -> None:
        """Remove what the run has written into the cluster."""
        for stream in self.drill.streams:
            stream.store.discard()

    def close(self) -> None:
        """Stop every thread that is left."""
        self.stop()
        if self._alerts:
            self._alerts.stop()
        for watch in self._watches:
            watch.stop()

    def enter(self, phase: Phase) -> None:
        """A phase begins."""
        self.tell(PhaseBegan(phase=phase))

    def tell(self, what: Happening) -> None:
        """Something happened now."""
        self.events.add(what)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let `seconds` pass, or less once `until` is true; whether it was.

        Raises InconclusiveError when the load has broken off (the ledger's disk is full).
        """
        deadline = self._clock.monotonic() + seconds
        while not until():
            left = deadline - self._clock.monotonic()
            if left <= 0:
                return False
            self._clock.sleep(min(POLL, left))
            if self._load and self._load.failure:
                raise InconclusiveError(f"the load broke off: {self._load.failure}")
        return True

    def _collected(self) -> Path:
        folder = self.folder / COLLECTED
        folder.mkdir(exist_ok=True)
        return folder

    def _leaderless(self) -> list[str]:
        return [
            f"{watch.group}: {len(leaders)} leaders seen"
            for watch in self._watches
            if len(leaders := watch.latest().leaders) != 1
        ]

    def _promised(self, availabilities: set[Availability]) -> list[Stream]:
        return [s for s in self.drill.streams if s.promise.availability in availabilities]

    def _recovered(self, streams: list[Stream]) -> bool:
        since = self._fault_ns or 0
        if self.drill.effect is Effect.NEW_LEADER:
            changes = next(w.changes() for w in self._watches if w.group == self.drill.group)
            elected = elected_ns(changes, since)
            if elected is None:
                return False
            since = max(since, elected)
        return self._steady(streams, since, self._rules.steady)

    def _steady(self, streams: list[Stream], since_ns: int, steady: Steady) -> bool:
        return self._load is None or all(
            self._load.steady(stream.name, since_ns, steady.window_ns, steady.percent)
            for stream in streams
        )

    def _missing(self) -> str:
        try:
            return self.drill.converged() or ""
        except UnreachableError as error:
            return error.message

    def _read_settings(self, when: Literal["before", "during", "after"]) -> None:
        try:
            self.tell(Settings(when=when, values=dict(self.drill.settings())))
        except OpsError as error:
            if when == "before":
                raise
            self.tell(Note(text=f"settings not read {when} the fault: {error.message}"))

    def _overloaded(self, share: float, seconds: float) -> None:
        self.tell(Overload(share=share, seconds=seconds))

    def _stalled(self, source: str, seconds: float) -> None:
        if seconds >= STALL_WORTH_NOTING:
            self.tell(Stall(source=source, seconds=seconds))
