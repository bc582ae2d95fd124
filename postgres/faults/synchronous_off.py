"""Synchronous mode off, as an operator in a hurry might leave it; undone by turning it on again."""

from dataclasses import dataclass
from random import Random

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import OpsError
from cluster.target import Hit
from postgres import names, patroni
from postgres.client import superuser, value
from postgres.faults import who
from postgres.scopes import Scope, primary_scope

SYNCHRONOUS_AGAIN = "synchronous mode on"
SECONDS = 60.0


@dataclass(frozen=True)
class SynchronousOff:
    """Turn synchronous mode off, and see that no commit waits for a standby."""

    context: Context
    leader: str

    @property
    def name(self) -> str:
        """As shown."""
        return "synchronous mode off"

    @property
    def undo(self) -> UndoRecord:
        """Turn it on."""
        return UndoRecord(SYNCHRONOUS_AGAIN, (self.leader,))

    def inject(self) -> Hit:
        """Change Patroni's configuration; proved by PostgreSQL's own setting."""
        node = self.context.inventory.named(self.leader)
        password = names.password(self.context, names.REST_USER)
        patroni.change_config(node, password, {"synchronous_mode": False})

        def off() -> bool:
            with superuser(self.context, node) as connection:
                return not value(connection, "SHOW synchronous_standby_names")

        wait_for("end of synchronous replication", off, seconds=SECONDS, clock=self.context.clock)
        at = self.context.clock.monotonic()
        return Hit(at, f"synchronous_standby_names of {self.leader} is empty")


def synchronous_off(context: Context, scope: Scope, seen: Seen, _random: Random) -> Fault:
    """The fault, asked of whoever leads. Raises InconclusiveError where nobody does."""
    return SynchronousOff(context, who.leader(scope, seen).name)


def synchronous_again(context: Context) -> Healer:
    """The healer: asks every member in turn until one has written the configuration."""
    scope = primary_scope(context)

    def written() -> bool:
        password = names.password(context, names.REST_USER)
        for node in scope.members:
            try:
                patroni.change_config(node, password, {"synchronous_mode": True})
            except OpsError:
                continue
            return True
        return False

    def heal(_record: UndoRecord) -> None:
        wait_for("synchronous mode on", written, seconds=SECONDS, every=1, clock=context.clock)

    return heal
