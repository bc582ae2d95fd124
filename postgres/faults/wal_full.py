"""The leader's WAL volume filled to the last byte, and PostgreSQL made to need a segment more."""

from dataclasses import dataclass
from random import Random

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Seen, UndoRecord
from cluster.errors import OpsError
from cluster.faults.fill import FillVolume
from cluster.inventory import Node
from cluster.target import Hit
from postgres.faults import who
from postgres.faults.archive_outage import switch_wal
from postgres.scopes import Scope

SECONDS = 60.0  # until the segments are used up that were written ahead


@dataclass(frozen=True)
class FillWal:
    """Fill the volume; then end segment after segment, until PostgreSQL cannot write one."""

    context: Context
    leader: Node
    fill: FillVolume

    @property
    def name(self) -> str:
        """As shown."""
        return self.fill.name

    @property
    def undo(self) -> UndoRecord:
        """Give the space back."""
        return self.fill.undo

    def inject(self) -> Hit:
        """Fill it. The time is that of PostgreSQL's end: until then nothing is felt."""
        full = self.fill.inject()
        clock, ended = self.context.clock, 0

        def stopped() -> str:
            nonlocal ended
            try:
                switch_wal(self.context, self.leader)
            except OpsError as error:
                return error.message
            ended += 1
            return ""

        why = wait_for(
            f"{self.leader.name} out of space", stopped, seconds=SECONDS, every=0.01, clock=clock
        )
        return Hit(clock.monotonic(), f"{full.proof}; {ended} segments later: {why[:150]}")


def full_wal(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault for whoever leads `scope` now. Raises InconclusiveError where nobody does."""
    leader = who.leader(scope, seen)
    servers = who.servers_of(context, leader)
    fill = FillVolume(context.target, leader, context.layout.wal(leader), servers)
    return FillWal(context, leader, fill)
