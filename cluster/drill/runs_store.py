"""The history of all runs of a cluster: one SQLite file beside the run folders.

The folders are the truth. `sync` brings the history up to them, and keeps what it knows of folders
that were deleted since. Deleting the file loses nothing that still has its folder.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self, TypeAlias

from pydantic import TypeAdapter, ValidationError

from cluster.drill.contracts import Prediction
from cluster.drill.evidence import CONFIG, EVENTS, VERDICT, runs
from cluster.drill.past_run import PastRun, past_run
from cluster.drill.report import RunSummary, Stamps
from cluster.drill.verdict import Conclusion
from cluster.errors import OpsError

STORE = "history.sqlite"
BUSY_SECONDS = 10.0
# A run without a verdict may be under way: its log was written to not long ago.
UNDER_WAY_SECONDS = 900.0

# One script a version of the file; `user_version` counts those that were run.
MIGRATIONS = (
    """
    CREATE TABLE runs (
      folder TEXT PRIMARY KEY,
      mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,  -- of the verdict that was read
      run TEXT NOT NULL, drill TEXT NOT NULL, cluster TEXT NOT NULL,
      began TEXT NOT NULL, seconds REAL NOT NULL,
      verdict TEXT NOT NULL, exit_code INTEGER NOT NULL, reasons TEXT NOT NULL,
      detected REAL, elected REAL, first_success REAL, sustained REAL, prediction TEXT NOT NULL,
      rto REAL, rpo REAL, lost INTEGER, unknown INTEGER NOT NULL,
      acked INTEGER NOT NULL, failed INTEGER NOT NULL,
      latency_median REAL, latency_p99 REAL,
      seed INTEGER NOT NULL, phase_offset REAL NOT NULL, tool TEXT NOT NULL, versions TEXT NOT NULL
    );
    CREATE INDEX runs_by_drill ON runs (drill, began);
    CREATE TABLE unread (
      folder TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
      reason TEXT NOT NULL
    );
    """,
)
PLAIN = (
    "run",
    "drill",
    "cluster",
    "seconds",
    "exit_code",
    "rto",
    "rpo",
    "lost",
    "unknown",
    "acked",
    "failed",
    "latency_median",
    "latency_p99",
    "seed",
    "phase_offset",
    "tool",
)
STAMPS = ("detected", "elected", "first_success", "sustained")
COLUMNS = ("folder", *PLAIN, *STAMPS, "began", "verdict", "reasons", "prediction", "versions")

Value: TypeAlias = str | float | int | None
Conclude: TypeAlias = Callable[[Path], RunSummary]

_SUMMARY = TypeAdapter(RunSummary)
_PREDICTION = TypeAdapter(Prediction)


@dataclass(frozen=True)
class Synced:
    """What `sync` did; `unread` are all folders that cannot be read, with the reason."""

    added: int
    unread: tuple[tuple[str, str], ...]


class RunsStore:
    """The file, open. One thread."""

    def __init__(self, drills: Path, wall: Callable[[], float] = time.time) -> None:
        """Open or make the file in `drills` (`Layout.drills`).

        `wall` is seconds since 1970. Raises OpsError where the file is not ours to read.
        """
        self._drills, self._wall = drills, wall
        self._path = drills / STORE
        with _explained(self._path):
            drills.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._migrate()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._db.close()

    def sync(self, conclude: Conclude) -> Synced:
        """Take in every folder that is new, or whose verdict has changed; idempotent.

        `conclude` judges a run that was cut off before its verdict.
        """
        with _explained(self._path):
            known = {
                row["folder"]: (row["mtime_ns"], row["size"])
                for row in self._db.execute(
                    "SELECT folder, mtime_ns, size FROM runs "
                    "UNION ALL SELECT folder, mtime_ns, size FROM unread"
                )
            }
            added = 0
            for folder in runs(self._drills):
                mark = _mark(folder / VERDICT)
                if known.get(folder.name) != mark and (mark != NO_VERDICT or self._over(folder)):
                    added += self._take(folder, mark, conclude)
            unread = self._db.execute("SELECT folder, reason FROM unread ORDER BY folder")
            return Synced(added, tuple((row["folder"], row["reason"]) for row in unread))

    def runs(self, drill: str | None = None, limit: int | None = None) -> tuple[PastRun, ...]:
        """The newest `limit` runs of a drill, or of all; oldest first."""
        query = (
            f"SELECT {', '.join(COLUMNS)} FROM runs WHERE drill = coalesce(?, drill) "  # noqa: S608
            "ORDER BY began DESC, folder DESC LIMIT ?"
        )
        with _explained(self._path):
            found = self._db.execute(query, (drill, -1 if limit is None else limit)).fetchall()
        return tuple(_read(row) for row in reversed(found))

    def _take(self, folder: Path, mark: "Mark", conclude: Conclude) -> bool:
        try:
            made = past_run(folder.name, _summary(folder, mark, conclude), _cluster(folder))
        except Exception as error:  # noqa: BLE001 - one broken folder must not hide the others
            said = error.message if isinstance(error, OpsError) else f"{type(error).__name__}: "
            reason = (said or str(error)).splitlines()[0]
            self._put("unread", {"folder": folder.name, "reason": reason}, mark)
            return False
        self._put("runs", _row(made), mark)
        self._db.execute("DELETE FROM unread WHERE folder = ?", (folder.name,))
        return True

    def _put(self, table: str, row: dict[str, Value], mark: "Mark") -> None:
        row = {**row, "mtime_ns": mark[0], "size": mark[1]}
        names, places = ", ".join(row), ", ".join("?" * len(row))
        self._db.execute(
            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - our names
            tuple(row.values()),
        )

    def _over(self, folder: Path) -> bool:
        """Whether nobody writes to a run any more that has no verdict."""
        try:
            written = (folder / EVENTS).stat().st_mtime
        except OSError:
            written = folder.stat().st_mtime
        return self._wall() - written > UNDER_WAY_SECONDS

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise OpsError(
                f"{self._path} was made by a newer version of this program",
                "use that one, or move the file away: it is filled again from the run folders",
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            # Somebody else may have done it since: the lock is taken before the number counts.
            self._db.execute("BEGIN IMMEDIATE")
            if self._db.execute("PRAGMA user_version").fetchone()[0] < number:
                for statement in script.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")
            self._db.execute("COMMIT")


Mark: TypeAlias = tuple[int, int]
NO_VERDICT: Mark = (0, 0)


def _mark(path: Path) -> Mark:
    """What changes when a file does; (0, 0) where there is none."""
    try:
        found = path.stat()
    except OSError:
        return NO_VERDICT
    return found.st_mtime_ns, found.st_size


def _summary(folder: Path, mark: Mark, conclude: Conclude) -> RunSummary:
    """The verdict that was given; computed where there is none, or of an older form."""
    if mark != NO_VERDICT:
        with suppress(ValidationError):
            return _SUMMARY.validate_json((folder / VERDICT).read_bytes())
    return conclude(folder)


def _cluster(folder: Path) -> str:
    """The cluster's name; "" in folders that are older than the field."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("cluster", "")) if isinstance(config, dict) else ""


def _row(made: PastRun) -> dict[str, Value]:
    return {
        "folder": made.folder,
        **{name: getattr(made, name) for name in PLAIN},
        **{name: getattr(made.stamps, name) for name in STAMPS},
        "began": made.began.isoformat(),
        "verdict": made.verdict.value,
        "reasons": json.dumps(made.reasons, ensure_ascii=False),
        "prediction": _PREDICTION.dump_json(made.prediction).decode(),
        "versions": json.dumps(made.versions, ensure_ascii=False),
    }


def _read(row: sqlite3.Row) -> PastRun:
    return PastRun(
        folder=row["folder"],
        **{name: row[name] for name in PLAIN},
        stamps=Stamps(*(row[name] for name in STAMPS)),
        began=datetime.fromisoformat(row["began"]),
        verdict=Conclusion(row["verdict"]),
        reasons=tuple(json.loads(row["reasons"])),
        prediction=_PREDICTION.validate_json(row["prediction"]),
        versions=json.loads(row["versions"]),
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise OpsError(
            f"{path}: {error}", "move the file away: it is filled again from the run folders"
        ) from error
