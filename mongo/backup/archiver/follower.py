"""Archives one set's oplog: where it goes on, when a slice is whole, what a gap is."""

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from cluster.errors import RefusedError
from mongo.backup import manifest
from mongo.backup.archiver.config import SetState
from mongo.backup.archiver.tail import Entry, Tail
from mongo.backup.sealing import Sealer
from mongo.backup.slices import GAP, Content, Position, Slice, encode, end_of, folder, listed
from mongo.backup.stamps import Stamp
from mongo.backup.storage import Storage

SLICE_BYTES = 16 << 20  # of entries: what is waiting in memory, at most
READ_BYTES = 8 << 20
LOOK = timedelta(seconds=30)  # so often it is looked whether a snapshot came after a gap
Clock = Callable[[], datetime]


class Follower:
    """One set. `step` does what is to be done now; it raises OpsError, and can be called again."""

    def __init__(
        self, name: str, tail: Tail, storage: Storage, sealer: Sealer, seconds: float, now: Clock
    ) -> None:
        self._name, self._tail = name, tail
        self._storage, self._sealer = storage, sealer
        self._age, self._now = timedelta(seconds=seconds), now
        self._history = 0
        self._set_id = ""
        self._kept: Position | None = None  # the end of what is in the archive
        self._waiting: list[Entry] = []
        self._bytes = 0
        self._since: datetime | None = None  # all that was written before is kept or waiting
        self._covered: datetime | None = None
        self._gap = ""
        self._gap_until: Stamp | None = None
        self._looked: datetime | None = None

    @property
    def state(self) -> SetState | None:
        """How far it is; None before it has begun."""
        if self._kept is None or self._covered is None:
            return None
        return SetState(last=self._kept.last, covered=self._covered, gap=self._gap)

    @property
    def history(self) -> int:
        """Which history it goes on with."""
        return self._history

    def step(self) -> bool:
        """Read what is new, and keep what is due; whether there is more to read at once."""
        if self._kept is None:
            self._resume()
        assert self._kept is not None  # noqa: S101 - that is what `_resume` does
        at = self._now()
        self._look_past_gap(at)
        place = self._waiting[-1].position if self._waiting else self._kept
        read = self._tail.after(place, READ_BYTES)
        if read.gap:
            self._lost(read.gap)
            return True
        if read.entries and not self._waiting:
            self._since = at
        self._waiting += read.entries
        size = sum(len(entry.raw) for entry in read.entries)
        self._bytes += size
        if not self._waiting:
            self._covered = at
        elif self._bytes >= SLICE_BYTES or (self._since and at - self._since >= self._age):
            self.flush()
            self._covered = at if size < READ_BYTES else self._covered
        return size >= READ_BYTES

    def flush(self) -> None:
        """Keep what is waiting."""
        if not self._waiting or self._kept is None:
            return
        end = self._waiting[-1].position
        made = Slice(self._history, self._name, self._kept.last, end.last)
        content = Content(
            made,
            self._set_id,
            self._kept.hash,
            end.hash,
            [entry.raw for entry in self._waiting],
        )
        self._storage.put(made.key, encode(self._sealer, content))
        self._kept, self._waiting, self._bytes = end, [], 0

    def _resume(self) -> None:
        """Go on after the last slice; where there is none, where its history begins, or now."""
        known = manifest.histories(self._storage)
        self._history = manifest.current(known)
        self._set_id = self._tail.set_id()
        found = listed(self._storage, self._history, self._name)
        self._kept = None
        if found.slices and (not found.gaps or found.slices[-1].last > found.gaps[-1].until):
            kept, set_id = end_of(self._storage, found.slices[-1])
            if set_id != self._set_id:
                raise RefusedError(
                    f"the archive of {self._name} in {self._storage.name} is another cluster's",
                    "give this cluster a repository of its own in the topology",
                )
            self._kept = kept
        elif found.gaps:
            self._kept = Position(found.gaps[-1].until)
        elif self._history in known and self._name in known[self._history].sets:
            branch = known[self._history].sets[self._name]
            self._kept = Position(branch.last, branch.hash)
        else:
            self._kept = self._tail.newest()
        self._covered = self._kept.last.instant
        if found.gaps:
            self._say_gap(found.gaps[-1].after, found.gaps[-1].until, "it was found before")

    def _lost(self, why: str) -> None:
        """Say in the archive that something is missing, and go on from now."""
        self.flush()
        assert self._kept is not None  # noqa: S101 - nothing is lost before it is known
        following = self._tail.newest()
        self._record(self._kept.last, following.last, why)
        self._say_gap(self._kept.last, following.last, why)
        self._kept = following

    def _say_gap(self, after: Stamp, until: Stamp, why: str) -> None:
        self._gap, self._gap_until = f"from {after.instant:%H:%M:%S} on: {why}", until

    def _look_past_gap(self, at: datetime) -> None:
        """Once a snapshot came after it, a gap is the past's: restores begin with the snapshot."""
        if self._gap_until is None or (self._looked and at - self._looked < LOOK):
            return
        self._looked = at
        if self._reached_by_snapshot(self._gap_until):
            self._gap, self._gap_until, self._looked = "", None, None

    def _reached_by_snapshot(self, until: Stamp) -> bool:
        labels = manifest.labels(self._storage)
        if not labels:
            return False
        key = manifest.manifest_key(labels[-1])
        newest = manifest.fetch(self._storage, key, manifest.Manifest)
        part = newest.sets.get(self._name)
        return newest.history == self._history and part is not None and part.last >= until

    def _record(self, after: Stamp, until: Stamp, why: str) -> None:
        key = f"{folder(self._history, self._name)}{GAP}{after.text}-{until.text}.json"
        text = json.dumps({"set": self._name, "why": why, "noticed": self._now().isoformat()})
        self._storage.put(key, io.BytesIO(text.encode()))
