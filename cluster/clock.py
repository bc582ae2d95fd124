"""Time, passed in so that pure logic can be tested with a fake."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from cluster.errors import UnreachableError

T = TypeVar("T")


class Clock(Protocol):
    """Monotonic seconds, and a way to let them pass."""

    def monotonic(self) -> float:
        """Seconds on the monotonic clock."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds on CLOCK_MONOTONIC, shared by all processes of this machine."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


def wait_for(
    what: str,
    probe: Callable[[], T | None],
    *,
    seconds: float,
    every: float = 0.1,
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """Call `probe` until it returns something true, and return that.

    Raises UnreachableError naming `what` when `seconds` have passed; the last reason that the
    probe raised as an UnreachableError is quoted. The probe is called at least once, and once more
    at the deadline.
    """
    deadline = clock.monotonic() + seconds
    reason, hint = "", ""
    while True:
        try:
            value = probe()
        except UnreachableError as error:
            value, reason, hint = None, f": {error.message}", error.hint
        if value:
            return value
        left = deadline - clock.monotonic()
        if left <= 0:
            raise UnreachableError(f"{what}: not within {seconds:g} s{reason}", hint)
        clock.sleep(min(every, left))
