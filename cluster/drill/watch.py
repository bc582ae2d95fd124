"""Watches who leads: one thread an observer; changes become events."""

import threading
import time
from dataclasses import replace

from cluster.drill.contracts import Observation, Observer
from cluster.drill.eventlog import EventLog
from cluster.drill.events import (
    Observed,
    Trouble,
)
from cluster.drill.timeline import Sample
from cluster.errors import UnreachableError

INTERVAL = 0.1  # seconds between samples


class Watch(threading.Thread):
    """Samples one observer until stopped."""

    def __init__(self, observer: Observer, events: EventLog) -> None:
        super().__init__(name=f"watch {observer.group}", daemon=True)
        self.group = observer.group
        self._observer, self._events = observer, events
        self._stop_asked = threading.Event()
        self._lock = threading.Lock()
        self._changes: list[Sample] = []
        self._lasted = 0
        self._failed = False

    def run(self) -> None:
        """Sample until stopped; at once again while more than one node leads."""
        while not self._stop_asked.is_set():
            sample = self._sample()
            if self._is_news(sample):
                sample = replace(sample, lasted=self._lasted)
                self._lasted = 0
                with self._lock:
                    self._changes.append(sample)
                self._report(sample)
            self._lasted += 1
            if len(sample.observation.leaders) < 2:
                self._stop_asked.wait(INTERVAL)

    def changes(self) -> tuple[Sample, ...]:
        """All changes so far."""
        with self._lock:
            return tuple(self._changes)

    def latest(self) -> Observation:
        """What was seen last; nothing, before the first sample."""
        changes = self.changes()
        return changes[-1].observation if changes else Observation()

    def stop(self, seconds: float = 10.0) -> None:
        """End, join, and close the observer."""
        self._stop_asked.set()
        if self.is_alive():
            self.join(seconds)
        self._observer.close()

    def _sample(self) -> Sample:
        began = time.monotonic_ns()
        try:
            observation = self._observer.sample()
        except UnreachableError as error:
            observation = Observation(detail=error.message)
        except Exception as error:  # noqa: BLE001 - told once; the run cannot be judged without it
            observation = Observation(detail=type(error).__name__)
            self._tell_failure(error)
        return Sample(began, time.monotonic_ns(), observation)

    def _is_news(self, sample: Sample) -> bool:
        if not self._changes or len(sample.observation.leaders) > 1:
            return True
        before = self._changes[-1].observation
        return replace(sample.observation, detail="") != replace(before, detail="")

    def _report(self, sample: Sample) -> None:
        self._events.add(
            Observed(
                group=self.group,
                began_ns=sample.began_ns,
                lasted=sample.lasted,
                observation=sample.observation,
            ),
            sample.ended_ns,
        )

    def _tell_failure(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            self._events.add(Trouble(what=f"the observer of {self.group} failed: {error!r}"))
