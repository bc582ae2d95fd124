"""The file of a run's events: appended, synced, and read again after a crash."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cluster.drill.events import Event, Happening, Note
from cluster.drill.ledger import sync_folder
from cluster.drill.publish.mask import UNMASKED, Mask
from cluster.errors import InvalidInputError

Listener = Callable[[Event], None]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class EventLog:
    """Appends events to a file, each synced, and tells a listener. Safe from any thread.

    UTC is computed from the monotonic clock and one pair of readings, so that a step of the wall
    clock cannot reorder a run. Adding never raises for the disk's sake or the listener's, for
    neither must keep a fault from being undone: what could not be written follows with the next
    event, and `failure` says what was wrong. No secret that `mask` knows reaches the file.
    """

    def __init__(
        self,
        path: Path,
        now_ns: Callable[[], int],
        utc: datetime,
        listener: Listener,
        mask: Mask = UNMASKED,
    ) -> None:
        self._now, self._listener, self._mask = now_ns, listener, mask
        self._base_ns, self._base_utc = now_ns(), utc.astimezone(UTC)
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        self._unwritten = b""
        self.failure: OSError | None = None
        _cut_torn_line(self._file)
        sync_folder(path.parent)

    def add(self, what: Happening, ns: int | None = None) -> Event:
        """Append what happened at `ns` (now, where it is not given)."""
        at = self._now() if ns is None else ns
        utc = self._base_utc + timedelta(microseconds=(at - self._base_ns) // 1000)
        event = Event(ns=at, utc=utc, what=what)
        with self._lock:
            self._unwritten += self._mask.data(event.model_dump_json().encode()) + b"\n"
            self._write()
        self._inform(event)
        return event

    def close(self) -> None:
        """Close the file; later events reach the listener alone."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _inform(self, event: Event) -> None:
        """Tell the listener; one that fails is told nothing more, and the run goes on."""
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - a screen must not keep a fault in place
            self._listener = lambda _: None
            self.add(Note(text=f"the live view failed: {type(error).__name__}: {error}"))

    def _write(self) -> None:
        if self._file < 0:
            return
        data, written = self._unwritten, 0
        try:
            if self.failure:
                _cut_torn_line(self._file)
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
            self.failure = None
        except OSError as error:
            self.failure = error
        self._unwritten = data[data.rfind(b"\n", 0, written) + 1 :]


def _cut_torn_line(file: int) -> None:
    """Remove what a crash left after the last whole line, so that the next one stands alone."""
    written = os.pread(file, os.fstat(file).st_size, 0)
    os.ftruncate(file, written.rfind(b"\n") + 1)


def read_events(path: Path) -> tuple[Event, ...]:
    """The events of a file, in the order written; a last line that a crash has torn is left out.

    Raises InvalidInputError naming the line where any other cannot be understood.
    """
    lines = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn
        try:
            events.append(_EVENT.validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInputError(f"{path.name} line {number}: {first['msg']}") from error
    return tuple(events)
