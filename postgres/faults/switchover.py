"""A planned change of leader, asked of Patroni. There is nothing to undo but to let it end."""

from dataclasses import dataclass
from random import Random

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.target import Hit
from postgres import patroni
from postgres.faults import who
from postgres.scopes import Scope, primary_scope
from postgres.switchover import SETTLE_SECONDS, ask

SETTLE_SWITCHOVER = "settle switchover"


@dataclass(frozen=True)
class Switchover:
    """Hand the lead from this member to the standby that Patroni chooses."""

    context: Context
    leader: str

    @property
    def name(self) -> str:
        """As shown."""
        return f"switchover from {self.leader}"

    @property
    def undo(self) -> UndoRecord:
        """Either member may lead: it is not switched back."""
        return UndoRecord(SETTLE_SWITCHOVER, (self.leader,))

    def inject(self) -> Hit:
        """Ask for it. The time is that of asking: what the clients wait for begins there."""
        at, words = ask(self.context, self.context.inventory.named(self.leader))
        return Hit(at, words)


def switchover(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The switchover from whoever leads now. Raises InconclusiveError where nobody does."""
    return Switchover(context, who.leader(scope, seen).name)


def settle_switchover(context: Context) -> Healer:
    """The healer: waits until somebody leads."""
    scope = primary_scope(context)

    def heal(_record: UndoRecord) -> None:
        wait_for(
            f"a leader of {scope.name}",
            lambda: patroni.find_leader(scope),
            seconds=SETTLE_SECONDS,
            clock=context.clock,
        )

    return heal
