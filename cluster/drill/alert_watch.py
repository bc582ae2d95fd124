"""Watches the alerts beside a drill: one thread; each change is an event."""

import threading

from cluster.drill.contracts import Alerts
from cluster.drill.eventlog import EventLog
from cluster.drill.events import AlertChanged, AlertsWatched, Note
from cluster.errors import OpsError

INTERVAL = 0.5  # seconds between two looks: Prometheus judges its rules every five


class AlertWatch(threading.Thread):
    """Asks what fires until stopped. What fires at the first look fired before the fault."""

    def __init__(self, alerts: Alerts, events: EventLog) -> None:
        super().__init__(name="watch alerts", daemon=True)
        self._alerts, self._events = alerts, events
        self._stop_asked = threading.Event()
        self._firing: frozenset[str] = frozenset()
        self._fired: frozenset[str] = frozenset()
        self._silent = False

    def run(self) -> None:
        """Look until stopped."""
        self._events.add(AlertsWatched(expected=dict(self._alerts.expected)))
        while not self._stop_asked.is_set():
            self._look()
            self._stop_asked.wait(INTERVAL)

    @property
    def patience(self) -> float:
        """Seconds that the slowest of the expected may take."""
        return max(self._alerts.expected.values(), default=0.0)

    def all_fired(self) -> bool:
        """Has every one that the fault should fire been seen to fire?"""
        return self._fired.issuperset(self._alerts.expected)

    def all_clear(self) -> bool:
        """Does none of them fire now?"""
        return self._firing.isdisjoint(self._alerts.expected)

    def stop(self) -> None:
        """End and join."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()

    def _look(self) -> None:
        try:
            firing = self._alerts.firing()
        except OpsError as error:
            if not self._silent:
                self._silent = True
                self._events.add(Note(text=f"the alerts could not be seen: {error.message}"))
            return
        self._silent = False
        for name in sorted(firing ^ self._firing):
            self._events.add(AlertChanged(alert=name, firing=name in firing))
        self._firing, self._fired = firing, self._fired | firing
