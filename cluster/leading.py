"""How long nobody led a group while something was done to it, watched from outside."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.drill.contracts import Observation, Observer
from cluster.drill.timeline import Sample
from cluster.errors import UnreachableError

INTERVAL = 0.05  # seconds between two looks
NOBODY = "nobody"


@dataclass(frozen=True)
class Gap:
    """A change of leader, or a pause of one. `at_most` seconds may nobody have led in it.

    It is counted from the last look that still saw the old leader to the first that saw the new
    one, so that it is never too short; the looks' own distance is in it.
    """

    before: str
    after: str
    at_most: float


def gaps(samples: Sequence[Sample]) -> tuple[Gap, ...]:
    """The changes and pauses of leadership that these looks saw, in order.

    One that had not ended with the last look has nobody `after` it.
    """
    found = []
    led: Sample | None = None
    paused = False
    for sample in samples:
        leader = _leader(sample)
        if not leader:
            paused = led is not None
            continue
        if led and (paused or leader != _leader(led)):
            seconds = (sample.ended_ns - led.began_ns) / 1e9
            found.append(Gap(_leader(led), leader, seconds))
        led, paused = sample, False
    if led and paused:
        found.append(Gap(_leader(led), NOBODY, (samples[-1].ended_ns - led.began_ns) / 1e9))
    return tuple(found)


def longest(found: Sequence[Gap]) -> float:
    """The longest time that nobody led, in seconds; 0 where somebody always did."""
    return max((gap.at_most for gap in found), default=0.0)


def _leader(sample: Sample) -> str:
    leaders = sample.observation.leaders
    return " and ".join(leaders)


class Leading(threading.Thread):
    """Looks at a group every INTERVAL until it is stopped."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(name=f"leading {observer.group}", daemon=True)
        self._observer = observer
        self._over = threading.Event()
        self._samples: list[Sample] = [self._look()]

    def run(self) -> None:
        """Look until stopped. What has not changed is kept once, with its last look's time."""
        while not self._over.wait(INTERVAL):
            sample = self._look()
            last = [one.observation.leaders for one in self._samples[-2:]]
            if last == [sample.observation.leaders] * 2:
                self._samples.pop()
            self._samples.append(sample)

    def stop(self) -> None:
        """End, and look once more."""
        self._over.set()
        self.join(10)
        self._samples.append(self._look())
        self._observer.close()

    def seen(self) -> tuple[Gap, ...]:
        """What was seen so far."""
        return gaps(tuple(self._samples))

    def _look(self) -> Sample:
        began = time.monotonic_ns()
        try:
            observation = self._observer.sample()
        except UnreachableError as error:
            observation = Observation(detail=error.message)
        return Sample(began, time.monotonic_ns(), observation)


@contextmanager
def watching(observer: Observer) -> Iterator[Leading]:
    """Watch while the block runs. What it saw is whole only after it."""
    leading = Leading(observer)
    leading.start()
    try:
        yield leading
    finally:
        leading.stop()
