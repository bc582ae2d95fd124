"""Notices when this machine is overloaded, for then what is slow may be the machine's fault.

Everything of a local cluster shares the machine with the harness, and with whatever else runs on
it. Linux says what share of the time something that could run had to wait for a processor
(https://docs.kernel.org/accounting/psi.html); where the kernel does not, nothing is noticed. Small
tasks wait for each other beside idle processors too, so these must be busy as well.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

SOURCE = Path("/proc/pressure/cpu")
INTERVAL = 5.0  # seconds over which a share is taken


def waited(text: str) -> float:
    """Seconds, since the machine's start, in which something had to wait for a processor.

    Raises ValueError where the text is not the kernel's.
    """
    some = next((line for line in text.splitlines() if line.startswith("some ")), "")
    return int(some.rpartition("total=")[2]) / 1e6


@dataclass(frozen=True)
class Reading:
    """Seconds since the machine's start: of waiting, and of idleness of the average processor."""

    waited: float
    idle: float


def read() -> Reading:
    """The machine now. Raises OSError where the kernel keeps no such statistics."""
    return Reading(waited(SOURCE.read_text()), psutil.cpu_times().idle / (psutil.cpu_count() or 1))


def overloaded(before: Reading, after: Reading, seconds: float, limit: float) -> float | None:
    """The share that was waited, if it and the processors' busy share are above the limit."""
    share = (after.waited - before.waited) / seconds
    busy = 1 - (after.idle - before.idle) / seconds
    return share if min(share, busy) > limit else None


class Gauge(threading.Thread):
    """Reports the share (0 to 1) of each interval that was waited, where it is above `limit`."""

    def __init__(
        self,
        on_overload: Callable[[float, float], None],
        limit: float,
        read: Callable[[], Reading] = read,
        interval: float = INTERVAL,
    ) -> None:
        super().__init__(name="pressure gauge", daemon=True)
        self._on_overload, self._limit = on_overload, limit
        self._read, self._interval = read, interval
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look until stopped, or until the kernel has nothing to say."""
        try:
            then, before = time.monotonic(), self._read()
            while not self._stop_asked.wait(self._interval):
                now, after = time.monotonic(), self._read()
                share = overloaded(before, after, now - then, self._limit)
                if share is not None:
                    self._on_overload(share, now - then)
                then, before = now, after
        except (OSError, ValueError):
            return

    def stop(self) -> None:
        """End and join."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()
