"""The engines' backups together: the one place that knows which there are."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cluster.backup.contracts import Backup, BackupEngine, Target, Window
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError
from mongo.backup.engine import ENGINE as MONGO
from postgres.backup_engine import ENGINE as POSTGRES

T = TypeVar("T")
ENGINES: tuple[BackupEngine, ...] = (POSTGRES, MONGO)
ALIASES = {"pg": "postgres"}
LSN = re.compile(r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\d")
AGO = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h|d) ago$")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Failed:
    """What an engine could not do."""

    engine: str
    reason: str
    hint: str


@dataclass(frozen=True)
class Stock:
    """What can be restored: the backups of all engines, and their windows by engine."""

    backups: tuple[Backup, ...]
    windows: tuple[tuple[str, Window], ...]


def chosen(names: Sequence[str]) -> tuple[BackupEngine, ...]:
    """The engines of these names, all without one. Raises InvalidInputError for an unknown one."""
    wanted = [ALIASES.get(name, name) for name in names]
    known = {engine.name: engine for engine in ENGINES}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInputError(
            f"there is no engine {', '.join(unknown)}", f"there are: {', '.join(known)}"
        )
    return tuple(known[name] for name in dict.fromkeys(wanted)) if wanted else ENGINES


def on_each(
    engines: Sequence[BackupEngine], act: Callable[[BackupEngine], Sequence[T]]
) -> tuple[list[T], list[Failed]]:
    """Do it with every engine; one that fails does not keep the others from it."""
    results: list[T] = []
    failed = []
    for engine in engines:
        try:
            results += act(engine)
        except OpsError as error:
            failed.append(Failed(engine.name, error.message, error.hint))
    return results, failed


def raise_failed(failed: Sequence[Failed]) -> None:
    """Raises OpsError where an engine failed, with the first one's hint."""
    if failed:
        lines = [f"{one.engine}: {one.reason}" for one in failed]
        raise OpsError("\n".join(lines), next((one.hint for one in failed if one.hint), ""))


def stock(context: Context, engines: Sequence[BackupEngine]) -> tuple[Stock, list[Failed]]:
    """The backups and windows of these engines."""
    backups, failed = on_each(engines, lambda engine: engine.list(context))
    windows, also_failed = on_each(
        engines, lambda engine: [(engine.name, window) for window in engine.windows(context)]
    )
    known = {one.engine for one in failed}
    failed += [one for one in also_failed if one.engine not in known]
    return Stock(tuple(backups), tuple(windows)), failed


def parse_target(text: str, now: datetime | None = None) -> Target:
    """TIME, LSN or NAME as a person types it. A time without an offset is UTC.

    `now`, and `90s ago` (s, m, h, d), are times too. Raises InvalidInputError for a time that is
    none, or that is yet to come.
    """
    present = now or datetime.now(UTC)
    if LSN.match(text):
        return Target(lsn=text.upper())
    if text == "now":
        return Target(time=present)
    if ago := AGO.match(text):
        return Target(time=present - timedelta(**{UNITS[ago[2]]: float(ago[1])}))
    if not TIME.match(text):
        return Target(name=text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"{text} is no time", "as in 2026-11-26T14:03:20.5Z") from error
    at = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    if at > present:
        raise InvalidInputError(f"{text} is yet to come (it is {present.isoformat()})")
    return Target(time=at)
