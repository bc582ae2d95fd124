"""The run's data dropped, as by a person's mistake, a while after an instant that was noted.

Undone by restoring the cluster to that instant. It is written down before anything is dropped: no
file, nothing was.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from psycopg import sql

from cluster.backup.contracts import Target
from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.drill.noted import Note, PitrTarget
from cluster.errors import OpsError
from cluster.target import Hit
from postgres import patroni, restore_in_place
from postgres.client import superuser, value
from postgres.faults import who
from postgres.scopes import Scope
from postgres.writer import SCHEMA

RESTORE_TO = "restore to"
FILE = "pitr-target.json"
GAP = (1.0, 4.0)  # seconds of writes between the instant and the mistake
AFTER_FAILOVER = (0.2, 2.5)  # seconds from the new primary's first sight to the instant
FAILOVER_SECONDS = 120.0


class TimelineTarget(PitrTarget):
    """The instant, and the timeline that was written then."""

    timeline: int


@dataclass(frozen=True)
class DestroyData:
    """Note an instant, let `gap` seconds of writes pass, and drop the drills' schema.

    `old`: wait first until somebody else than this member leads, and `settle` seconds more.
    """

    context: Context
    scope: Scope
    gap: float
    old: str = ""
    settle: float = 0.0

    @property
    def name(self) -> str:
        """As shown."""
        return f"DROP SCHEMA {SCHEMA}, {self.gap:.1f} s after the instant"

    @property
    def undo(self) -> UndoRecord:
        """Restore to the instant, if there is one."""
        return UndoRecord(RESTORE_TO, (self.scope.name,))

    def inject(self) -> Hit:
        """Drop it, and see that it is gone."""
        clock = self.context.clock
        if self.old:
            wait_for("another primary", self._other, seconds=FAILOVER_SECONDS, clock=clock)
            clock.sleep(self.settle)
        leader = patroni.leader_of(self.scope)
        database = self.context.topology.postgres.database
        with superuser(self.context, leader, database) as connection:
            timeline = value(connection, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")
            noted = TimelineTarget(
                at=datetime.now(UTC),
                at_ns=time.monotonic_ns(),
                timeline=int(timeline, 16),
                switched=bool(self.old),
            )
            clock.sleep(self.gap)
            note(self.context).save(noted)
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))
            at = clock.monotonic()
            left = value(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = %s", SCHEMA)
        if left:
            raise OpsError(f"{left} tables of schema {SCHEMA} are still there")
        return Hit(at, f"schema {SCHEMA} is gone; the restore is to go to {noted.at.isoformat()}")

    def _other(self) -> bool:
        states = patroni.states(self.scope.members)
        return any(state.primary and name != self.old for name, state in states.items())


def destroyed(context: Context, scope: Scope, seen: Seen, random: Random) -> Fault:
    """At any instant. Raises InconclusiveError where nobody leads."""
    who.leader(scope, seen)
    return DestroyData(context, scope, random.uniform(*GAP))


def destroyed_after_failover(context: Context, scope: Scope, _seen: Seen, random: Random) -> Fault:
    """Just after the primary's node, killed by the stage before, was replaced."""
    states = patroni.states(scope.members)
    dead = [node.name for node in scope.members if node.name not in states]
    gap, settle = random.uniform(*GAP), random.uniform(*AFTER_FAILOVER)
    return DestroyData(context, scope, gap, dead[0] if dead else "nobody", settle)


def restore_to(context: Context) -> Healer:
    """The healer: the whole cluster back to the instant, in place."""

    def heal(_record: UndoRecord) -> None:
        noted = note(context).due()
        if noted is None:
            return
        target = Target(time=noted.at)
        done = restore_in_place.in_place(context, target, lambda _: None)
        note(context).restored(noted, done)

    return heal


def note(context: Context) -> Note[TimelineTarget]:
    """Where the instant is written down."""
    return Note(context.layout.root / FILE, TimelineTarget)
