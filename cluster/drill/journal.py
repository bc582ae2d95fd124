"""The undo journal: a file for each fault that is in place, on disk before the fault acts.

Opening is write, sync, rename, sync of the folder: a crash anywhere leaves either nothing, and
then the fault has not acted, or the whole entry. Closing removes the file.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cluster.drill.contracts import Healer, UndoRecord
from cluster.drill.events import (
    Record,
)
from cluster.drill.ledger import sync_folder
from cluster.errors import FaultNotUndoneError, OpsError, RefusedError

FOLDER = "open-faults"
SUFFIX = ".json"
TORN = ".part"


class Entry(Record):
    """A fault that may be in place: `run` names its run's folder."""

    id: str
    run: str
    fault: str
    opened: str
    undo: UndoRecord


@dataclass(frozen=True)
class Healed:
    """What became of one entry; `error` is "" where it was undone."""

    entry: Entry
    error: str = ""


class Journal:
    """The open faults of one cluster, below its `drills` folder."""

    def __init__(self, drills: Path) -> None:
        self._folder = drills / FOLDER

    def open(self, entry: Entry) -> None:
        """Record, durably, how to undo what is about to be done."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._folder.parent)
        for torn in self._folder.glob(f"*{TORN}"):  # of a run that died before its fault acted
            torn.unlink(missing_ok=True)
        part = self._path(entry.id).with_suffix(TORN)
        with part.open("w", encoding="utf-8") as file:
            file.write(entry.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path(entry.id))
        sync_folder(self._folder)

    def close(self, entry_id: str) -> None:
        """The fault is undone. Idempotent."""
        if self._folder.is_dir():
            self._path(entry_id).unlink(missing_ok=True)
            sync_folder(self._folder)

    def open_entries(self) -> tuple[Entry, ...]:
        """What may be in place, oldest first.

        Raises FaultNotUndoneError where an entry cannot be read: somebody has edited it.
        """
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        return tuple(sorted(map(_read, paths), key=lambda entry: (entry.opened, entry.id)))

    def refuse_if_open(self) -> None:
        """Raises RefusedError naming the faults that are still in place, if there are any."""
        entries = self.open_entries()
        if entries:
            names = ", ".join(entry.fault for entry in entries)
            raise RefusedError(
                f"a fault of an earlier drill is still in place: {names}",
                "undo it with `skillswap-ops drill heal`",
            )

    def _path(self, entry_id: str) -> Path:
        return self._folder / f"{entry_id}{SUFFIX}"


def _read(path: Path) -> Entry:
    try:
        return Entry.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise FaultNotUndoneError(
            f"{path}: cannot be read as a fault's undo record",
            "undo by hand what it names, then remove the file",
        ) from error


def heal(
    journal: Journal,
    healers: Mapping[str, Healer],
    on_begin: Callable[[Entry], None] = lambda _: None,
    run: str | None = None,
) -> tuple[Healed, ...]:
    """Undo every open fault (of one run, where it is given), the latest first.

    A failure is reported in its result and does not keep the others from being undone.
    """
    entries = [entry for entry in journal.open_entries() if run in {None, entry.run}]
    results = []
    for entry in reversed(entries):
        on_begin(entry)
        results.append(_heal(journal, healers, entry))
    return tuple(results)


def _heal(journal: Journal, healers: Mapping[str, Healer], entry: Entry) -> Healed:
    healer = healers.get(entry.undo.kind)
    if healer is None:
        return Healed(entry, f"nothing here knows how to undo {entry.undo.kind}")
    try:
        healer(entry.undo)
        journal.close(entry.id)
    except OpsError as error:
        return Healed(entry, error.message)
    except Exception as error:  # noqa: BLE001 - the other faults must be undone all the same
        return Healed(entry, f"{type(error).__name__}: {error}")
    return Healed(entry)
