"""The folder that a run leaves behind, and how it is read again."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from cluster.drill.checkers.availability import Steady
from cluster.drill.contracts import Effect, OpIds, Prediction, Promise, Timings
from cluster.drill.eventlog import read_events
from cluster.drill.events import (
    Record,
)
from cluster.drill.history import Ledger, read_ledger
from cluster.drill.ledger import sync_folder
from cluster.drill.publish.mask import UNMASKED, Mask
from cluster.drill.timeline import Timeline, timeline
from cluster.errors import InconclusiveError, InvalidInputError
from cluster.files import write_atomic

RUNS = "runs"
CONFIG = "config.json"
EVENTS = "events.jsonl"
LEDGER = "ledger.bin"
VERDICT = "verdict.json"
JOURNAL = "journal.json"
JUNIT = "junit.xml"
METRICS = "metrics.prom"
REPORT = "report.html"
COLLECTED = "collected"
READ_BACK = "read-back-{number}.npy"
FORMAT = 1


class Rules(Record):
    """How the history is judged; times in seconds."""

    window: float = 10.0  # service is sustained when it lasts this long …
    percent: int = 99  # … with this share of the intended operations good
    touched_window: float = 1.0  # a stream that the fault must not touch shares machines with those
    touched_percent: int = 50  # that it does: it is down where most of a second is lost
    before: float = 5.0  # just before the fault …
    acks_before: int = 5  # … each stream must have had this many acknowledgements, and half of
    # those that it intended
    stall: float = 1.0  # a longer one of the harness makes the run inconclusive
    overload: float = 0.8  # of 5 s, waited for a processor and processors busy: the machine is slow

    @property
    def steady(self) -> Steady:
        """What counts as service."""
        return Steady(round(self.window * 1e9), self.percent)

    @property
    def untouched(self) -> Steady:
        """What counts as service of a stream that the fault must not touch."""
        return Steady(round(self.touched_window * 1e9), self.touched_percent)


class StreamConfig(Record):
    """A stream as it ran; see `contracts.Stream`."""

    number: int
    name: str
    group: str
    rate: float
    workers: int
    good_within: float
    write_within: float
    promise: Promise


class RunConfig(Record):
    """What was to be done, written down before anything is."""

    format: int = FORMAT
    run: str
    drill: str
    hypothesis: str
    began: datetime
    tool: str
    seed: int
    phase_offset: float
    group: str
    effect: Effect
    timings: Timings
    prediction: Prediction
    streams: tuple[StreamConfig, ...]
    checks: tuple[str, ...] = ()
    rules: Rules = Rules()
    cluster: str = ""
    node: str = ""  # the machine that ran it …
    platform: str = ""  # … and its system


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk. `ledger` and a stream's `read` are None where there is none."""

    folder: Path
    config: RunConfig
    timeline: Timeline
    ledger: Ledger | None
    read: Mapping[int, OpIds | None]  # by stream number


def new_folder(drills: Path, drill: str, run: str, began: datetime) -> Path:
    """Make the folder of a run, `runs/<UTC>-<drill>-<run>`. Raises FileExistsError."""
    folder = drills / RUNS / f"{began:%Y%m%dT%H%M%SZ}-{drill}-{run}"
    folder.mkdir(parents=True)
    sync_folder(folder.parent)
    return folder


def write_config(folder: Path, config: RunConfig, mask: Mask = UNMASKED) -> None:
    """Write the configuration of a run."""
    text = mask.text(config.model_dump_json(indent=2))
    write_atomic(folder / CONFIG, text + "\n", mode=0o640)


def write_read_back(folder: Path, number: int, pieces: Iterable[OpIds]) -> int:
    """Store every row that a stream's store holds; how many. The file is whole or absent."""
    rows = np.concatenate([np.empty(0, np.int64), *pieces])
    path = folder / READ_BACK.format(number=number)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        try:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).rename(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return len(rows)


def load_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises InvalidInputError where it is none, or was made by a version not known here, and
    InconclusiveError where its ledger has not even a header.
    """
    config = _load_config(folder / CONFIG)
    ledger = folder / LEDGER
    return Run(
        folder,
        config,
        timeline(read_events(folder / EVENTS)),
        read_ledger(ledger) if ledger.exists() else None,
        {stream.number: _load_read_back(folder, stream.number) for stream in config.streams},
    )


def _load_config(path: Path) -> RunConfig:
    try:
        config = RunConfig.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidInputError(f"{path.parent}: no drill run ({CONFIG} is missing)") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInputError(f"{path}: {field}: {first['msg']}") from error
    if config.format != FORMAT:
        raise InvalidInputError(f"{path}: format {config.format} is not known here")
    return config


def _load_read_back(folder: Path, number: int) -> OpIds | None:
    path = folder / READ_BACK.format(number=number)
    if not path.exists():
        return None
    try:
        rows: OpIds = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise InconclusiveError(f"{path.name} cannot be read: {error}") from error
    return rows


def runs(drills: Path) -> tuple[Path, ...]:
    """The folders of all runs, oldest first."""
    return tuple(sorted((drills / RUNS).glob("*Z-*")))
