"""Where a restore begins and ends: the windows of a repository, and the plan for one target.

An instant means the data as it was *then*: on the timeline that was being written at that time. So
what was written after a restore, and what was written before it and put away by it, can both be
reached by the clock alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cluster.backup.contracts import Target, Window
from cluster.errors import InvalidInputError
from postgres import wal
from postgres.backup import Backup
from postgres.timelines import Archive

# pgBackRest gives whole seconds: the backup may have become consistent within the one it names.
ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True)
class Stock:
    """One repository: its good backups, oldest first, and its WAL."""

    repository: int
    backups: tuple[Backup, ...]
    archive: Archive


@dataclass(frozen=True)
class RestorePoint:
    """A place in the WAL that was given a name."""

    name: str
    place: int
    timeline: int
    at: datetime


@dataclass(frozen=True)
class Plan:
    """What pgBackRest and PostgreSQL are told: the values of `--set`, `--type`, `--target`, …"""

    repository: int
    backup: Backup
    timeline: int
    kind: Literal["time", "lsn", "name"]
    value: str


def usable_from(backup: Backup) -> datetime:
    """The first instant that a restore of a backup can end at."""
    return datetime.fromtimestamp(backup.stopped, UTC) + ROUNDING


def windows(stock: Stock) -> tuple[Window, ...]:
    """What can be reached on the way to the newest timeline, a window a stretch without a gap."""
    if not stock.archive.timelines:
        return ()
    newest = stock.archive.timelines[-1]
    found: list[Window] = []
    for backup in stock.backups:
        if not _leads_to(stock, backup, newest):
            continue
        last = stock.archive.reach(newest, backup.wal_start).last
        first = usable_from(backup)
        if last is None or last.at < first:
            continue
        if found and first <= found[-1].last:
            found[-1] = Window(stock.repository, found[-1].first, max(found[-1].last, last.at))
        else:
            found.append(Window(stock.repository, first, last.at))
    return tuple(found)


def choose(target: Target, stocks: Sequence[Stock], points: Mapping[str, RestorePoint]) -> Plan:
    """The plan, from the first repository that can. Raises InvalidInputError where none can."""
    reasons = []
    for stock in stocks:
        try:
            return _choose(target, stock, points)
        except InvalidInputError as error:
            reasons.append(error.message)
    range_of = possible(stocks)
    raise InvalidInputError(
        f"postgres cannot be restored to {target}: {'; '.join(dict.fromkeys(reasons))}",
        f"possible: {range_of}",
    )


def possible(stocks: Sequence[Stock]) -> str:
    """The range that can be restored to, in words."""
    words = []
    for stock in stocks:
        words += [
            f"{instant(window.first)} to {instant(window.last)} (repository {stock.repository})"
            for window in windows(stock)
        ]
        if stock.backups and stock.archive.timelines:
            newest = stock.archive.timelines[-1]
            end = stock.archive.run(newest, stock.backups[-1].wal_start).end
            first = wal.lsn_text(stock.backups[0].lsn_stop)
            words.append(f"LSN {first} to {wal.lsn_text(end)} (repository {stock.repository})")
    return ", ".join(words) or "nothing, for there is no finished backup with its WAL"


def instant(at: datetime) -> str:
    """As the command line takes it again."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _choose(target: Target, stock: Stock, points: Mapping[str, RestorePoint]) -> Plan:
    if not stock.backups:
        raise InvalidInputError(f"repository {stock.repository} has no finished backup")
    if target.time is not None:
        return _by_time(target.time, stock)
    if target.lsn:
        return _by_place(target, stock, _place(target.lsn))
    point = points.get(target.name)
    if point is None:
        known = ", ".join(points) or "none"
        raise InvalidInputError(f"there is no restore point {target.name} (there are: {known})")
    return _by_place(target, stock, point.place, point.timeline)


def _by_time(at: datetime, stock: Stock) -> Plan:
    archive = stock.archive
    first = min(map(usable_from, stock.backups))
    if at < first:
        raise InvalidInputError(f"it is before the first backup, which ended at {instant(first)}")
    timeline = _written_at(archive, at)
    end = archive.last(timeline)
    if end is None:
        raise InvalidInputError(f"no commit of timeline {timeline} is in the archive")
    last, carrier = end
    if at > last.at and timeline == _newest_written(archive):
        raise InvalidInputError(f"it is past the last archived commit, of {instant(last.at)}")
    if at >= last.at:  # nothing was committed after it on this timeline: its end is what is meant
        plan = _plan(stock, carrier, "lsn", wal.lsn_text(last.place), at)
        return _without_gap(stock, plan, last.place, last.at)
    own = _last_of_its_own(archive, timeline)
    way = timeline if own is not None and own > at else carrier
    plan = _plan(stock, way, "time", at.astimezone(UTC).isoformat(" ", "microseconds"), at)
    return _without_gap(stock, plan, None, at)


def _by_place(target: Target, stock: Stock, place: int, on: int | None = None) -> Plan:
    archive = stock.archive
    if place < min(backup.lsn_stop for backup in stock.backups):
        raise InvalidInputError("it is before the end of the first backup")
    start = stock.backups[0].wal_start
    for timeline in reversed(archive.timelines):
        passes = on is None or archive.follows(timeline, on, place)
        if passes and place < archive.run(timeline, _start_for(stock, timeline, start)).end:
            kind: Literal["lsn", "name"] = "lsn" if target.lsn else "name"
            value = target.lsn or target.name
            return _plan(stock, timeline, kind, value, None, place)
    raise InvalidInputError("it is past the last archived WAL, or behind a gap in it")


def _start_for(stock: Stock, timeline: int, default: str) -> str:
    fitting = [b.wal_start for b in stock.backups if _leads_to(stock, b, timeline)]
    return fitting[-1] if fitting else default


def _plan(
    stock: Stock,
    timeline: int,
    kind: Literal["time", "lsn", "name"],
    value: str,
    at: datetime | None,
    place: int | None = None,
) -> Plan:
    """With the newest backup that is on the way and ended before the target."""
    for backup in reversed(stock.backups):
        early = usable_from(backup) <= at if at else backup.lsn_stop <= (place or 0)
        if early and _leads_to(stock, backup, timeline):
            return Plan(stock.repository, backup, timeline, kind, value)
    raise InvalidInputError(f"no backup leads to timeline {timeline} at that point")


def _without_gap(stock: Stock, plan: Plan, place: int | None, at: datetime) -> Plan:
    """The plan. Raises InvalidInputError where WAL is missing between its backup and its target."""
    reach = stock.archive.reach(plan.timeline, plan.backup.wal_start)
    far = place < reach.end if place is not None else reach.last is not None and reach.last.at > at
    if not far:
        raise InvalidInputError(
            f"WAL segment {reach.missing or 'after ' + wal.lsn_text(reach.end)} is missing between "
            f"backup {plan.backup.label} and that point"
        )
    return plan


def _leads_to(stock: Stock, backup: Backup, timeline: int) -> bool:
    return stock.archive.follows(timeline, wal.timeline_of(backup.wal_stop), backup.lsn_stop)


def _written_at(archive: Archive, at: datetime) -> int:
    """The timeline that was being written at an instant."""
    for timeline in reversed(archive.timelines):
        first = archive.first(timeline)
        if first is not None and first.at <= at:
            return timeline
    return archive.timelines[0]


def _newest_written(archive: Archive) -> int:
    for timeline in reversed(archive.timelines):
        if archive.first(timeline) is not None:
            return timeline
    return archive.timelines[-1]


def _last_of_its_own(archive: Archive, timeline: int) -> datetime | None:
    """The last commit in the segments that bear the timeline's own name."""
    names = sorted(name for name in archive.segments if wal.timeline_of(name) == timeline)
    for name in reversed(names):
        commits = archive.look(name)
        if commits:
            return commits[-1].at
    return None


def _place(text: str) -> int:
    try:
        return wal.lsn(text)
    except ValueError as error:
        raise InvalidInputError(f"{text} is no LSN", "it is as in 0/5A3F0D8") from error
