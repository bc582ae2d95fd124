"""What the DR region had not received: from where it left the old timeline, and the old disks.

Where it left it is in the history of its new timeline, and is asked for after the promotion: WAL
that was on its way (in a proxy's buffers, in a kernel's) may arrive until the very last moment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import wal
from postgres.client import superuser, value
from postgres.regions import Loss
from postgres.scopes import Scope, data_folder
from postgres.timelines import Commit, parse_commits, parse_history

DUMP_SECONDS = 300.0
RECORD = re.compile(r"len \(rec/tot\): +\d+/ *(?P<size>\d+),.*, lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+)")
RECEIVED = """
SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text,
  pg_last_wal_replay_lsn()::text"""
TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
HISTORY = "SELECT pg_read_file('pg_wal/' || %s || '.history')"


@dataclass(frozen=True)
class Received:
    """How far a standby is, in LSNs."""

    received: str
    replayed: str


@dataclass(frozen=True)
class Left:
    """Where a promoted server has left each timeline that it came from, and when it had replayed
    its last transaction before that.
    """

    places: Mapping[int, int]
    at: datetime | None


@dataclass(frozen=True)
class Tail:
    """What a disk holds after a place: where it ends, and the commits in between."""

    node: str
    start: int
    end: int
    commits: tuple[Commit, ...]
    text: str


def received(context: Context, node: Node) -> Received:
    """How far a standby is by its own account."""
    with superuser(context, node) as connection:
        row = connection.execute(RECEIVED).fetchone()
    if row is None:
        raise OpsError(f"{node.name} does not say how far it is")
    return Received(str(row[0]), str(row[1]))


def left(context: Context, node: Node) -> Left:
    """Where a promoted server has left its timelines, to the byte."""
    with superuser(context, node) as connection:
        name = str(value(connection, TIMELINE))
        history = str(value(connection, HISTORY, name))
        at = value(connection, "SELECT pg_last_xact_replay_timestamp()")
    forks = parse_history(history, int(name, 16)).values()
    return Left(
        {fork.parent: fork.place for fork in forks},
        at.astimezone(UTC) if isinstance(at, datetime) else None,
    )


def loss(context: Context, scope: Scope, since: Left, evidence: Path) -> Loss:
    """What the fenced scope's disks hold beyond what was received; unknown where none is readable.

    The records themselves are kept in `evidence`: failing back makes the disks anew.
    """
    tails = [tail for node in scope.members if (tail := _tail(context, node, since))]
    if not tails:
        last = max(since.places.values(), default=0)
        return Loss(received=wal.lsn_text(last), received_at=since.at)
    longest = max(tails, key=lambda tail: tail.end)
    if longest.commits:
        evidence.write_text(longest.text, "utf-8")
    return stated(since.at, longest, str(evidence) if longest.commits else "")


def stated(at: datetime | None, tail: Tail, evidence: str) -> Loss:
    """The loss in numbers; `at` is when the last transaction was that is not lost."""
    missing = tail.commits
    seconds = None
    if missing:
        seconds = (missing[-1].at - (at or missing[0].at)).total_seconds()
    return Loss(
        received=wal.lsn_text(tail.start),
        received_at=at,
        sent=wal.lsn_text(tail.end),
        bytes=max(0, tail.end - tail.start),
        commits=len(missing),
        seconds=seconds if missing else 0.0,
        evidence=evidence,
    )


def describe(found: Loss) -> str:
    """The loss in a sentence."""
    last = f", whose last transaction is of {found.received_at:%H:%M:%S.%f} UTC" * bool(
        found.received_at
    )
    have = f"the DR region has everything up to {found.received}{last}"
    if found.commits is None:
        return (
            f"{have}; what the old primary acknowledged after that is lost, and cannot be counted"
        )
    if not found.commits:
        return f"{have}; nothing is lost"
    return (
        f"{have}; lost: {found.commits} transactions, {found.bytes:,} bytes of WAL, "
        f"{found.seconds:.3f} s (the records are in {found.evidence})"
    )


def _tail(context: Context, node: Node, since: Left) -> Tail | None:
    """A stopped member's WAL after what was received; None where it cannot be read.

    Of the timelines that were left, its own is the newest that it has WAL of there.
    """
    program = context.programs.postgres("pg_waldump", context.topology.postgres.version)
    folder = data_folder(context.layout, node) / "pg_wal"
    for timeline, place in sorted(since.places.items(), reverse=True):
        segment = wal.segment_at(timeline, place)
        start = wal.lsn_text(place)
        argv = (program, "-p", str(folder), "-t", str(timeline), "-s", start)
        try:
            if context.target.run_tool(node, ("test", "-e", str(folder / segment))).code:
                continue
            # It ends with an error wherever the WAL ends.
            ended = context.target.run_tool(node, argv, env={"TZ": "UTC"}, seconds=DUMP_SECONDS)
        except OpsError:
            return None
        return parse_tail(node.name, ended.stdout, start)
    return None


def parse_tail(node: str, text: str, start: str) -> Tail:
    """What `pg_waldump` prints from a place on."""
    first = end = wal.lsn(start)
    for line in text.splitlines():
        if found := RECORD.search(line):
            end = max(end, wal.lsn(found["lsn"]) + int(found["size"]))
    return Tail(node, first, end, parse_commits(text), text)
