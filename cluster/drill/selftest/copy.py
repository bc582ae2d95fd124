"""A copy of a run's folder that may be falsified: every edit leaves files that can be read."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cluster.drill.contracts import OpIds, Promise
from cluster.drill.eventlog import read_events
from cluster.drill.events import Event, Happening
from cluster.drill.evidence import (
    EVENTS,
    LEDGER,
    READ_BACK,
    load_run,
    write_config,
    write_read_back,
)
from cluster.drill.ledger import HEADER_BYTES, INTENT, RECORD, checksums
from cluster.drill.measures import Measures, StreamMeasures
from cluster.drill.outcome import Outcome
from cluster.files import write_atomic


class Copy:
    """What was there before any edit is in `measures`."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Copy a run into a new folder. Raises as `load_run` does."""
        shutil.copytree(source, folder)
        self.folder = folder
        self.measures = Measures(load_run(folder))

    def change_events(self, change: Callable[[Sequence[Event]], Iterable[Event]]) -> None:
        """Put other events in the place of the run's."""
        path = self.folder / EVENTS
        lines = (event.model_dump_json() + "\n" for event in change(read_events(path)))
        write_atomic(path, "".join(lines), mode=0o640)

    def add_event(self, after: Event, what: Happening, later_ns: int = 0) -> None:
        """Insert what happened `later_ns` after an event of the run, next to it."""
        new = Event(ns=after.ns + later_ns, utc=after.utc, what=what)
        self.change_events(
            lambda events: [e for old in events for e in ((old, new) if old == after else (old,))]
        )

    def drop_events(self, kind: type, since_ns: int = 0) -> None:
        """Remove the events of a kind, of that time and later."""
        self.change_events(
            lambda events: [e for e in events if not isinstance(e.what, kind) or e.ns < since_ns]
        )

    def change_promise(self, stream: StreamMeasures, promise: Promise) -> None:
        """Let a stream have promised something else."""
        config = self.measures.run.config
        streams = tuple(
            one.model_copy(update={"promise": promise}) if one == stream.config else one
            for one in config.streams
        )
        write_config(self.folder, config.model_copy(update={"streams": streams}))

    def settle(self, ops: OpIds, outcome: Outcome) -> None:
        """Let operations have ended otherwise, the ledger's checksums in order."""
        path = self.folder / LEDGER
        count = (path.stat().st_size - HEADER_BYTES) // RECORD.itemsize
        records = np.memmap(path, RECORD, "r+", HEADER_BYTES, (count,))
        rows = np.flatnonzero(np.isin(records["op"], ops) & (records["kind"] != INTENT))
        changed = np.array(records[rows])
        changed["kind"] = outcome
        changed["check"] = checksums(changed)
        records[rows] = changed
        records.flush()

    def damage_ledger(self) -> None:
        """Flip a bit of a record in the middle."""
        path = self.folder / LEDGER
        size = path.stat().st_size
        with path.open("r+b") as file:
            place = HEADER_BYTES + (size - HEADER_BYTES) // RECORD.itemsize // 2 * RECORD.itemsize
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1]))

    def change_read(self, stream: StreamMeasures, rows: OpIds) -> None:
        """Let other rows have been read back."""
        write_read_back(self.folder, stream.config.number, [rows])

    def remove_read(self, stream: StreamMeasures) -> None:
        """Let the stream not have been read back."""
        (self.folder / READ_BACK.format(number=stream.config.number)).unlink()
