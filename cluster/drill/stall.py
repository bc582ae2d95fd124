"""Notices when the harness itself stands still, for then no time it measures can be trusted."""

import threading
import time
from collections.abc import Callable

INTERVAL = 0.05  # seconds


class Ticker(threading.Thread):
    """Wakes every 50 ms and reports by how much it was late, where that is more than `least` s."""

    def __init__(
        self,
        on_stall: Callable[[str, float], None],
        least: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="stall ticker", daemon=True)
        self._on_stall, self._least, self._monotonic = on_stall, least, monotonic
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Tick until stopped."""
        before = self._monotonic()
        while not self._stop_asked.wait(INTERVAL):
            now = self._monotonic()
            late = now - before - INTERVAL
            if late > self._least:
                self._on_stall("ticker", late)
            before = now

    def stop(self) -> None:
        """End and join."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()
