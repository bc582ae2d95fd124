"""Live counts of a stream, for the screen and for "has it recovered?". The verdict uses neither."""

import threading
from dataclasses import dataclass, field

from cluster.drill.outcome import Outcome

BUCKET_NS = 100_000_000
KEEP_BUCKETS = 1200  # two minutes
RECENT_NS = 2_000_000_000


@dataclass(frozen=True)
class Live:
    """A stream right now; the totals are since the load began."""

    name: str
    rate: float  # operations a second that are due
    acked_rate: float  # operations a second, due in the last two seconds, acknowledged so far
    acked: int
    failed: int
    unknown: int
    unsent: int
    last_reason: str  # of the last operation that was not acknowledged
    slowest: float | None  # seconds from due to acknowledged, of those two seconds


@dataclass(slots=True)
class _Bucket:
    intended: int = 0
    acked: int = 0
    good: int = 0
    slowest_ns: int = 0


@dataclass
class Meter:
    """Counts by due time, in tenths of a second. Safe from any thread."""

    name: str
    rate: float
    good_within_ns: int
    _buckets: dict[int, _Bucket] = field(default_factory=dict)
    _totals: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    _reason: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def intended(self, due_ns: int) -> None:
        """An operation will be due."""
        with self._lock:
            self._bucket(due_ns).intended += 1

    def settled(self, due_ns: int, done_ns: int, outcome: Outcome, reason: str) -> None:
        """An operation has ended."""
        with self._lock:
            self._totals[outcome] += 1
            if outcome is not Outcome.ACKED:
                self._reason = reason
                return
            bucket = self._bucket(due_ns)
            bucket.acked += 1
            bucket.good += done_ns - due_ns <= self.good_within_ns
            bucket.slowest_ns = max(bucket.slowest_ns, done_ns - due_ns)

    def live(self, now_ns: int) -> Live:
        """The stream right now."""
        with self._lock:
            recent = self._between(now_ns - RECENT_NS, now_ns)
            return Live(
                self.name,
                self.rate,
                sum(bucket.acked for bucket in recent) / (RECENT_NS / 1e9),
                self._totals[Outcome.ACKED],
                self._totals[Outcome.FAILED],
                self._totals[Outcome.UNKNOWN],
                self._totals[Outcome.UNSENT],
                self._reason,
                max((each.slowest_ns / 1e9 for each in recent if each.acked), default=None),
            )

    def steady(self, now_ns: int, since_ns: int, window_ns: int, percent: int) -> bool:
        """Is the newest window whose operations have had their time good, and all after `since`?"""
        end = now_ns - self.good_within_ns
        if end - window_ns < since_ns:
            return False
        with self._lock:
            buckets = self._between(end - window_ns, end)
        intended = sum(bucket.intended for bucket in buckets)
        good = sum(bucket.good for bucket in buckets)
        return intended > 0 and good * 100 >= percent * intended

    def _bucket(self, due_ns: int) -> _Bucket:
        key = due_ns // BUCKET_NS
        if key not in self._buckets:
            self._buckets[key] = _Bucket()
            self._buckets.pop(key - KEEP_BUCKETS, None)
        return self._buckets[key]

    def _between(self, start_ns: int, end_ns: int) -> list[_Bucket]:
        keys = range(-(-start_ns // BUCKET_NS), end_ns // BUCKET_NS)
        return [self._buckets[key] for key in keys if key in self._buckets]
