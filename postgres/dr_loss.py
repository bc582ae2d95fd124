"""What the DR region had not received: from its own WAL, and from the old primary's disk."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import instance, wal
from postgres.client import superuser
from postgres.regions import Loss
from postgres.scopes import Scope, data_folder
from postgres.timelines import Commit, parse_commits

DUMP_SECONDS = 300.0
RECORD = re.compile(r"len \(rec/tot\): +\d+/ *(?P<size>\d+),.*, lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+)")
RECEIVED = """
SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text,
  pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp(),
  (SELECT timeline_id FROM pg_control_checkpoint())"""


@dataclass(frozen=True)
class Received:
    """How far a standby is: LSNs, its last transaction's time, and its timeline."""

    received: str
    replayed: str
    at: datetime | None
    timeline: int


@dataclass(frozen=True)
class Tail:
    """What a disk holds after a place: where it ends, and the commits in between."""

    node: str
    end: int
    commits: tuple[Commit, ...]
    text: str


def received(context: Context, node: Node) -> Received:
    """How far a standby is by its own account."""
    with superuser(context, node) as connection:
        row = connection.execute(RECEIVED).fetchone()
    if row is None:
        raise OpsError(f"{node.name} does not say how far it is")
    at = row[2].astimezone(UTC) if isinstance(row[2], datetime) else None
    return Received(str(row[0]), str(row[1]), at, int(row[3]))


def loss(context: Context, scope: Scope, has: Received, evidence: Path) -> Loss:
    """What the fenced scope's disks hold beyond what was received; unknown where none is readable.

    The records themselves are kept in `evidence`: failing back makes the disks anew.
    """
    tails = [tail for node in scope.members if (tail := _tail(context, node, has))]
    if not tails:
        return Loss(received=has.replayed, received_at=has.at)
    longest = max(tails, key=lambda tail: tail.end)
    if longest.commits:
        evidence.write_text(longest.text, "utf-8")
    return stated(has, longest, str(evidence) if longest.commits else "")


def stated(has: Received, tail: Tail, evidence: str) -> Loss:
    """The loss in numbers."""
    missing = tail.commits
    seconds = None
    if missing:
        seconds = (missing[-1].at - (has.at or missing[0].at)).total_seconds()
    return Loss(
        received=has.replayed,
        received_at=has.at,
        sent=wal.lsn_text(tail.end),
        bytes=max(0, tail.end - wal.lsn(has.replayed)),
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


def _tail(context: Context, node: Node, has: Received) -> Tail | None:
    """A stopped member's WAL after what was received; None where it cannot be read."""
    data = data_folder(context.layout, node)
    try:
        control = instance.control(context, node, data)
        if not control:
            return None
        program = context.programs.postgres("pg_waldump", context.topology.postgres.version)
        timeline = control.get("Latest checkpoint's TimeLineID", str(has.timeline))
        argv = (program, "-p", str(data / "pg_wal"), "-t", timeline, "-s", has.replayed)
        # It ends with an error wherever the WAL ends.
        text = context.target.run_tool(node, argv, env={"TZ": "UTC"}, seconds=DUMP_SECONDS).stdout
    except OpsError:
        return None
    return parse_tail(node.name, text, has.replayed)


def parse_tail(node: str, text: str, start: str) -> Tail:
    """What `pg_waldump` prints from a place on."""
    end = wal.lsn(start)
    for line in text.splitlines():
        if found := RECORD.search(line):
            end = max(end, wal.lsn(found["lsn"]) + int(found["size"]))
    return Tail(node, end, parse_commits(text), text)
