"""The load: open-loop streams whose intents are durable before anything is sent."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from cluster.drill.contracts import Stream
from cluster.drill.ledger import INTENT, LedgerWriter, Row, op_id
from cluster.drill.meter import Live, Meter
from cluster.drill.recorder import Due, Recorder, unsent
from cluster.drill.worker import NO_WORKER, Lane, Worker

TICK = 0.025  # seconds between commits: one fdatasync each
LOOKAHEAD_NS = 250_000_000  # intents are durable this long ahead, to ride out a slow disk
START_NS = 500_000_000  # the first operation's due time after `start`
GRACE = 2.0  # seconds beyond the writers' own deadline before a worker counts as stuck
RELEASED = 1.0  # seconds for a stuck worker to come back once its writer is closed


class Load:
    """Runs the streams from `start` to `stop`. Neither is called twice."""

    def __init__(
        self,
        streams: Sequence[Stream],
        ledger: LedgerWriter,
        recorder: Recorder,
        on_stall: Callable[[str, float], None],
    ) -> None:
        self._ledger, self._recorder, self._on_stall = ledger, recorder, on_stall
        self._lanes = [
            Lane(number, stream, Meter(stream.name, stream.rate, round(stream.good_within * 1e9)))
            for number, stream in enumerate(streams, start=1)
        ]
        self._workers = [
            Worker(lane, index, recorder)
            for lane in self._lanes
            for index in range(lane.stream.workers)
        ]
        self._stopping = threading.Event()
        self._pacer = threading.Thread(target=self._pace, name="load pacer", daemon=True)
        self._due: list[Iterator[Due]] = []
        self._next: list[Due] = []
        self.failure: Exception | None = None  # the ledger cannot be written, as a rule

    def start(self) -> int:
        """Begin; when the first operations are due (monotonic ns)."""
        at = time.monotonic_ns() + START_NS
        self._due = [_schedule(lane.number, lane.stream, at) for lane in self._lanes]
        self._next = [next(dues) for dues in self._due]
        for worker in self._workers:
            worker.start()
        self._pacer.start()
        return at

    def live(self) -> tuple[Live, ...]:
        """Every stream right now."""
        now = time.monotonic_ns()
        return tuple(lane.meter.live(now) for lane in self._lanes)

    def steady(self, stream: str, since_ns: int, window_ns: int, percent: int) -> bool:
        """Has that stream's newest full window, begun after `since_ns`, been good?"""
        now = time.monotonic_ns()
        return any(
            lane.meter.steady(now, since_ns, window_ns, percent)
            for lane in self._lanes
            if lane.stream.name == stream
        )

    def stop(self) -> tuple[int, int]:
        """End the load; from when on nothing is due (monotonic ns), and how many workers stuck.

        Also where `start` was cut off.
        Returns within the longest `good_within + write_within` and a few seconds. Every operation
        has an outcome in the ledger then; a stuck worker's is unknown.
        """
        self._stopping.set()
        if self._pacer.is_alive():
            self._pacer.join()
        for lane in self._lanes:
            for _ in range(lane.stream.workers):
                lane.queue.put(None)
        started = [worker for worker in self._workers if worker.ident is not None]
        alive = self._join(started, GRACE + LOOKAHEAD_NS / 1e9 + self._longest())
        for worker in alive:
            worker.abandon()
            # Not joined if it hangs: closing is the engine's code too.
            threading.Thread(target=worker.release, daemon=True).start()
        stuck = self._join(alive, RELEASED)
        self._leave_unsent()
        self._commit()
        until = max((due.due_ns for due in self._next), default=time.monotonic_ns())
        return until, len(stuck)

    def _longest(self) -> float:
        return max(lane.stream.good_within + lane.stream.write_within for lane in self._lanes)

    def _join(self, workers: Sequence[Worker], seconds: float) -> list[Worker]:
        """Those still alive after `seconds`; meanwhile the others' outcomes become durable."""
        deadline = time.monotonic() + seconds
        alive = list(workers)
        while alive and time.monotonic() < deadline:
            alive[0].join(TICK)
            alive = [worker for worker in alive if worker.is_alive()]
            self._commit()
        return alive

    def _leave_unsent(self) -> None:
        """What stuck workers have left in the queues."""
        for lane in self._lanes:
            while not lane.queue.empty():
                due = lane.queue.get()
                if due is not None:
                    now = time.monotonic_ns()
                    self._recorder.settle(lane.meter, due, 0, unsent(NO_WORKER), 0, now)

    def _pace(self) -> None:
        try:
            while not self._stopping.is_set() and self.failure is None:
                self._intend(time.monotonic_ns() + LOOKAHEAD_NS)
                self._stopping.wait(TICK)
        except Exception as error:  # noqa: BLE001 - the run must not go on without its load
            self.failure = error

    def _intend(self, horizon_ns: int) -> None:
        """Make the intents of everything due before `horizon_ns` durable, then release it."""
        batches = [self._take(index, horizon_ns) for index in range(len(self._lanes))]
        now = time.monotonic_ns()
        self._ledger.append(*(Row(d.op, d.due_ns, now, INTENT) for b in batches for d in b))
        if not self._commit():
            return
        late = time.monotonic_ns() - min((b[0].due_ns for b in batches if b), default=1 << 62)
        if late > 0:
            self._on_stall("ledger", late / 1e9)
        for lane, batch in zip(self._lanes, batches, strict=True):
            for due in batch:
                lane.meter.intended(due.due_ns)
                lane.queue.put(due)

    def _take(self, index: int, horizon_ns: int) -> list[Due]:
        batch = []
        while self._next[index].due_ns < horizon_ns:
            batch.append(self._next[index])
            self._next[index] = next(self._due[index])
        return batch

    def _commit(self) -> bool:
        try:
            self._ledger.commit()
        except OSError as error:
            self.failure = self.failure or error
        return self.failure is None


def _schedule(number: int, stream: Stream, start_ns: int) -> Iterator[Due]:
    """Operation n is due at start + delay + n / rate."""
    first = start_ns + round(stream.delay * 1e9)
    return (Due(op_id(number, n), first + round(n * 1e9 / stream.rate)) for n in count())
