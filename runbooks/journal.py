"""A run on disk: a folder with `journal.jsonl`, one line an entry, synced before anything goes on.

A step is `begun` before anything of it is done, and `ended` after. A torn last line is of an entry
that was never written whole, and counts for nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from cluster.drill.ledger import sync_folder
from cluster.errors import InvalidInputError

FOLDER = "runbooks"
FILE = "journal.jsonl"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    at: datetime
    who: str


class Opened(_Entry):
    """The run began. `incident` is when the SLA's clock began; `digest` is of the page."""

    entry: Literal["opened"] = "opened"
    runbook: str
    arguments: dict[str, str]
    incident: datetime
    digest: str
    unattended: bool = False


class Begun(_Entry):
    """A step is about to be done: `what` is the command or the question, arguments filled in."""

    entry: Literal["begun"] = "begun"
    step: str
    kind: str
    what: str


class Spawned(_Entry):
    """The step's command runs: what tells its process from any later one of that pid."""

    entry: Literal["spawned"] = "spawned"
    step: str
    pid: int
    created: float


class Ended(_Entry):
    """A step is over. `then` is where it leads: a step's id, "go on" or "stop"."""

    entry: Literal["ended"] = "ended"
    step: str
    outcome: Literal["ok", "failed", "found done", "skipped"]
    then: str
    seconds: float
    answer: str = ""
    code: int | None = None
    output: str = ""


class Resumed(_Entry):
    """Somebody went on with it."""

    entry: Literal["resumed"] = "resumed"


class Closed(_Entry):
    """The run is over: done, or given up."""

    entry: Literal["closed"] = "closed"
    outcome: Literal["done", "abandoned"]
    why: str = ""


Entry = Annotated[Opened | Begun | Spawned | Ended | Resumed | Closed, Field(discriminator="entry")]
_ENTRY: TypeAdapter[Opened | Begun | Spawned | Ended | Resumed | Closed] = TypeAdapter(Entry)


@dataclass(frozen=True)
class Run:
    """A run's folder and all its entries."""

    folder: Path
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """As `resume` takes it."""
        return self.folder.name

    @property
    def opened(self) -> Opened:
        """How it began."""
        first = self.entries[0]
        assert isinstance(first, Opened)  # noqa: S101 - `load` has seen to it
        return first

    @property
    def closed(self) -> Closed | None:
        """How it ended; None while it may be gone on with."""
        return next((each for each in self.entries if isinstance(each, Closed)), None)


class Journal:
    """Appends to one run. The hook `written` is called after each entry is on disk."""

    def __init__(self, folder: Path, written: Callable[[Entry], None] = lambda _: None) -> None:
        self.folder = folder
        self._written = written

    def append(self, entry: Entry) -> None:
        """Write an entry, durably."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            torn = size and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, (b"\n" if torn else b"") + entry.model_dump_json().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(self.folder)
        sync_folder(self.folder.parent)
        self._written(entry)


def load(folder: Path) -> Run:
    """A run from its folder. Raises InvalidInputError where it is none."""
    entries: list[Entry] = []
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError as error:
        raise InvalidInputError(f"{folder} holds no run of a runbook") from error
    for line in lines:
        try:
            entries.append(_ENTRY.validate_json(line))
        except ValidationError:
            continue  # torn: nothing was done because of it
    if not entries or not isinstance(entries[0], Opened):
        raise InvalidInputError(f"{folder} holds no run of a runbook: its journal has no beginning")
    return Run(folder, tuple(entries))


def runs(root: Path) -> tuple[Run, ...]:
    """All runs of a cluster, oldest first; a folder that holds none is passed over."""
    found = []
    for path in sorted((root / FOLDER).glob("*Z-*")):
        try:
            found.append(load(path))
        except InvalidInputError:
            continue
    return tuple(found)


def new_folder(root: Path, runbook: str, at: datetime) -> Path:
    """Where a run that begins now is kept."""
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return root / FOLDER / f"{stamp}-{runbook}"
