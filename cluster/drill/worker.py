"""One worker of a stream: takes operations as they fall due and writes them through one writer."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from cluster.drill.contracts import Stream, Writer
from cluster.drill.meter import Meter
from cluster.drill.outcome import Outcome, Result
from cluster.drill.recorder import Due, Recorder, unknown, unsent

NO_WORKER = "no free worker in time"
ABANDONED = "no answer by the end of the load"


@dataclass
class Lane:
    """A stream at work: its queue of operations whose intent is durable, ended by a None each."""

    number: int
    stream: Stream
    meter: Meter
    queue: "SimpleQueue[Due | None]" = field(default_factory=SimpleQueue)

    @property
    def patience_ns(self) -> int:
        """How long after its due time an operation may still be sent."""
        return round(self.stream.good_within * 1e9)


class Worker(threading.Thread):
    """Runs until it takes a None from its lane, or is abandoned in a write that never returns."""

    def __init__(self, lane: Lane, index: int, recorder: Recorder) -> None:
        super().__init__(name=f"{lane.stream.name} writer {index}", daemon=True)
        self._lane, self._index, self._recorder = lane, index, recorder
        self._writer: Writer | None = None
        self._lock = threading.Lock()
        self._current: tuple[Due, int] | None = None  # with when it was sent, 0: not yet
        self._abandoned = False

    def run(self) -> None:
        """Take operations in order."""
        try:
            while not self._abandoned and (due := self._lane.queue.get()) is not None:
                self._take(due)
        finally:
            self.release()

    def release(self) -> None:
        """Close the writer; from another thread, to free a `write` that is stuck."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):  # what it held is gone either way
                writer.close()

    def abandon(self) -> None:
        """Give up on the operation under way: unknown, or unsent if it has not begun.

        What it says later is not recorded, and nothing is sent any more.
        """
        with self._lock:
            current, self._current = self._current, None
            self._abandoned = True
        if current:
            due, sent = current
            result = unknown(ABANDONED) if sent else unsent(ABANDONED)
            self._record(due, result, sent, time.monotonic_ns())

    def _take(self, due: Due) -> None:
        with self._lock:
            self._current = due, 0
        early = due.due_ns - time.monotonic_ns()
        if early > 0:
            time.sleep(early / 1e9)
        refusal = self._refusal(due)
        if refusal:
            self._settle(due, unsent(refusal), 0)
        else:
            self._send(due)

    def _refusal(self, due: Due) -> str:
        """Why the operation cannot be sent any more; "" to send it."""
        if self._late(due):
            return NO_WORKER
        if self._writer is None:
            try:
                self._writer = self._lane.stream.store.open_writer(self._index)
            except Exception as error:  # noqa: BLE001 - not sent, whatever it was
                return f"no connection: {type(error).__name__}"
        return NO_WORKER if self._late(due) else ""

    def _late(self, due: Due) -> bool:
        return time.monotonic_ns() - due.due_ns > self._lane.patience_ns

    def _send(self, due: Due) -> None:
        writer = self._writer
        with self._lock:
            if self._abandoned or writer is None:
                return
            sent = time.monotonic_ns()
            self._current = due, sent
        result = _write(writer, due.op)
        self._settle(due, result, sent)
        if result.reopen:
            self.release()

    def _settle(self, due: Due, result: Result, sent_ns: int) -> None:
        """Record it, unless it was abandoned."""
        done = time.monotonic_ns()
        with self._lock:
            mine, self._current = self._current is not None, None
        if mine:
            self._record(due, result, sent_ns, done)

    def _record(self, due: Due, result: Result, sent_ns: int, done_ns: int) -> None:
        self._recorder.settle(self._lane.meter, due, self._index, result, sent_ns, done_ns)


def _write(writer: Writer, op: int) -> Result:
    try:
        return writer.write(op)
    except Exception as error:  # noqa: BLE001 - a hole in the error table may hide an execution
        return Result(Outcome.UNKNOWN, f"unmapped {type(error).__name__}", reopen=True)
