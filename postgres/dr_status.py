"""How the DR region stands: who leads, how far it is behind, and whether the archive backs it."""

from dataclasses import dataclass
from datetime import datetime

from cluster.backup.contracts import Damage
from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from postgres import backup_verify, patroni, regions, remake, wal
from postgres.backup_stock import stocks
from postgres.client import superuser
from postgres.regions import Loss, Stage
from postgres.scopes import Scope, dr_scope, fenced_scope, primary_scope, slot_name

PRIMARY = """
SELECT pg_current_wal_flush_lsn()::text, slots.active, slots.wal_status,
  (pg_current_wal_flush_lsn() - slots.restart_lsn)::bigint
FROM (SELECT 1) one LEFT JOIN pg_replication_slots slots ON slots.slot_name = %s"""
# A standby that has replayed all that the primary has is not behind, however old that is.
STANDBY = """
SELECT pg_is_in_recovery(), coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text,
  pg_last_wal_replay_lsn()::text,
  extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8"""


@dataclass(frozen=True)
class Following:
    """A follower by its own account and the primary's; lags in bytes, seconds by its last commit.

    `seconds` is 0 where it has replayed all there is, None where nothing tells.
    """

    scope: str
    node: str
    standby: bool
    streaming: bool
    bytes_not_received: int | None
    bytes_not_replayed: int | None
    seconds: float | None
    slot: str


@dataclass(frozen=True)
class DrStatus:
    """Everything of `dr status`. `problems` is empty where a promotion would lose but the lag."""

    stage: Stage
    since: datetime | None
    primary_scope: str
    primary: str
    fenced: str
    following: Following | None
    archive: tuple[Damage, ...]
    loss: Loss | None
    problems: tuple[str, ...]


def status(context: Context) -> DrStatus:
    """Ask both regions and the archive; what does not answer is a problem, and no error."""
    found = regions.load(context.layout)
    scope, fenced = primary_scope(context), fenced_scope(context)
    problems: list[str] = []
    primary = _leader(problems, scope)
    following = _following(context, primary, problems)
    problems += [
        f"{node.name} is fenced, and answers all the same: stop it"
        for node in (fenced.members if fenced else ())
        if remake.listens(node) or remake.answers(node)
    ]
    gaps: tuple[Damage, ...] = ()
    try:
        gaps = tuple(gap for stock in stocks(context) for gap in backup_verify.gaps(stock))
    except OpsError as error:
        problems.append(f"the archive cannot be read: {error.message}")
    problems += [f"archive: {gap.what}: {gap.reason}" for gap in gaps]
    if not found.stage.resting:
        problems.append(f"half done ({found.stage}): run `{found.stage.command}` again")
    return DrStatus(
        stage=found.stage,
        since=found.since,
        primary_scope=scope.name,
        primary=primary.name if primary else "",
        fenced=fenced.name if fenced else "",
        following=following,
        archive=gaps,
        loss=found.loss,
        problems=tuple(problems),
    )


def _following(context: Context, primary: Node | None, problems: list[str]) -> Following | None:
    scope = dr_scope(context)
    if scope is None:
        if regions.load(context.layout).stage is Stage.AWAY:
            problems.append("no region follows the primary: `dr failback` makes one")
        return None
    node = _leader(problems, scope)
    if node is None:
        return None
    try:
        with superuser(context, node) as connection:
            row = connection.execute(STANDBY).fetchone()
    except OpsError as error:
        problems.append(f"{node.name}: {error.message}")
        return None
    standby, has, replayed, age = row or (False, None, None, None)
    end, slot = _primary_end(context, primary, slot_name(scope), problems)
    streams = _streams(primary, node.name)
    behind = _behind(end, replayed)
    if not standby:
        problems.append(f"{node.name} is no standby: it takes writes")
    if not streams:
        problems.append(f"{node.name} does not stream from {primary.name if primary else 'anyone'}")
    return Following(
        scope=scope.name,
        node=node.name,
        standby=bool(standby),
        streaming=streams,
        bytes_not_received=_behind(end, has),
        bytes_not_replayed=behind,
        seconds=0.0 if behind == 0 else age,
        slot=slot,
    )


def _primary_end(
    context: Context, primary: Node | None, slot: str, problems: list[str]
) -> tuple[str | None, str]:
    """Where the primary's WAL ends, and what it says of the follower's slot."""
    if primary is None:
        return None, ""
    try:
        with superuser(context, primary) as connection:
            row = connection.execute(PRIMARY, (slot,)).fetchone()
    except OpsError as error:
        problems.append(f"{primary.name}: {error.message}")
        return None, ""
    end, active, kept, size = row or (None, None, None, None)
    if kept is None:
        problems.append(f"{primary.name} keeps no slot {slot}")
        return end, ""
    if kept == "lost":
        problems.append(f"slot {slot} has lost WAL: the archive must give it")
    return end, f"{'active' if active else 'idle'}, {kept}, keeps {size or 0:,} bytes"


def _streams(primary: Node | None, follower: str) -> bool:
    try:
        row = patroni.state(primary).standby(follower) if primary else None
    except OpsError:
        return False
    return row is not None and row.state == "streaming"


def _behind(end: str | None, has: str | None) -> int | None:
    return max(0, wal.lsn(end) - wal.lsn(has)) if end and has else None


def _leader(problems: list[str], scope: Scope) -> Node | None:
    try:
        node = patroni.find_leader(scope)
    except OpsError as error:
        problems.append(f"{scope.name}: {error.message}")
        return None
    if node is None:
        problems.append(f"nobody leads {scope.name}")
    return node
