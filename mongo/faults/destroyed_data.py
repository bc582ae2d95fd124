"""The run's collections dropped, as by a person's mistake, a while after an instant that was noted.

Undone by restoring the whole cluster to that instant. It is written down before anything is
dropped: no file, nothing was.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from cluster.backup.contracts import Target
from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.drill.noted import Note, PitrTarget
from cluster.errors import OpsError
from cluster.target import Hit
from mongo import members, nodes
from mongo.backup.engine import ENGINE
from mongo.client import SET_SECONDS, Client, router_client
from mongo.credentials import ADMIN, login
from mongo.faults import who
from mongo.nodes import SetNodes, names
from mongo.set_model import State
from mongo.writer import SegmentStore

RESTORE_TO = "restore mongo to"
FILE = "mongo-pitr-target.json"
GAP = (1.0, 4.0)  # seconds of writes between the instant and the mistake
AFTER_FAILOVER = (1.0, 2.5)  # seconds from the new primary's first sight: a whole one lies in it
FAILOVER_SECONDS = 60.0


@dataclass(frozen=True)
class DestroyData:
    """Note an instant, let `gap` seconds of writes pass, and drop the run's collections.

    `old`: wait first until somebody else than this member leads, and `settle` seconds more.
    """

    context: Context
    replica_set: SetNodes
    stores: tuple[SegmentStore, ...]
    gap: float
    old: str = ""
    settle: float = 0.0

    @property
    def name(self) -> str:
        """As shown."""
        return f"drop of {len(self.stores)} collections, {self.gap:.1f} s after the instant"

    @property
    def undo(self) -> UndoRecord:
        """Restore to the instant, if there is one."""
        return UndoRecord(RESTORE_TO, ())

    def inject(self) -> Hit:
        """Drop them, and see what they had."""
        clock = self.context.clock
        if self.old:
            wait_for("another primary", self._other, seconds=FAILOVER_SECONDS, clock=clock)
            clock.sleep(self.settle)
        noted = instant(switched=bool(self.old))
        clock.sleep(self.gap)
        note(self.context).save(noted)
        with self._client() as client:
            had = 0
            for store in self.stores:
                database, name = store.namespace
                had += client[database][name].estimated_document_count()
                client[database].drop_collection(name)
            at = clock.monotonic()
        if not had:
            raise OpsError("the run's collections were empty")
        return Hit(at, f"{had:,} documents dropped; the restore is to go to {noted.at.isoformat()}")

    def _client(self) -> AbstractContextManager[Client]:
        routers = nodes.routers(self.context)
        return router_client(routers, login(self.context, ADMIN), seconds=SET_SECONDS)

    def _other(self) -> bool:
        known = names(self.context)
        answers = members.observe(self.context, self.replica_set)
        leaders = [known[one.host] for one in answers if one.state is State.PRIMARY]
        return bool(leaders) and leaders != [self.old]


def instant(*, switched: bool) -> PitrTarget:
    """The beginning of the present second, by both clocks."""
    wall, monotonic = time.time_ns(), time.monotonic_ns()
    since = wall % 1_000_000_000
    at = datetime.fromtimestamp((wall - since) // 1_000_000_000, UTC)
    return PitrTarget(at=at, at_ns=monotonic - since, switched=switched)


def destroyed(
    context: Context,
    replica_set: SetNodes,
    stores: Sequence[SegmentStore],
    seen: Seen,
    random: Random,
) -> Fault:
    """At any instant. Raises InconclusiveError where nobody leads."""
    who.primary_of(replica_set.name, seen)
    return DestroyData(context, replica_set, tuple(stores), random.uniform(*GAP))


def destroyed_after_failover(
    context: Context,
    replica_set: SetNodes,
    stores: Sequence[SegmentStore],
    seen: Seen,
    random: Random,
) -> Fault:
    """Just after the primary that the stage before has hit was replaced."""
    leaders = seen[replica_set.name].leaders
    old = leaders[0] if leaders else "nobody"
    gap, settle = random.uniform(*GAP), random.uniform(*AFTER_FAILOVER)
    return DestroyData(context, replica_set, tuple(stores), gap, old, settle)


def restore_to(context: Context) -> Healer:
    """The healer: the whole cluster back to the instant, in place."""

    def heal(_record: UndoRecord) -> None:
        noted = note(context).due()
        if noted is None:
            return
        done = ENGINE.restore_in_place(context, Target(time=noted.at), lambda _: None)
        note(context).restored(noted, done)

    return heal


def note(context: Context) -> Note[PitrTarget]:
    """Where the instant is written down."""
    return Note(context.layout.root / FILE, PitrTarget)
