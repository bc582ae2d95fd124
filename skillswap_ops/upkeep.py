"""Day-2 work on the local target: the lock and supervision around it, and all engines' parts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import mongo.rolling
import mongo.upkeep
import postgres.reinit
import postgres.rolling
import postgres.switchover
from cluster.backup.contracts import Say
from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.journal import Journal
from cluster.errors import RefusedError, UnreachableError
from cluster.lock import exclusive
from cluster.restarting import finish, half_done
from cluster.rolling import READY_SECONDS, Group, Move, Turn, moves, refuse, roll
from mongo.upkeep import Resynced, SteppedDown
from postgres import regions, restore_state
from postgres.reinit import Reinitialised
from postgres.switchover import SwitchedOver
from skillswap_ops.engines import data_servers
from skillswap_ops.restoring import ensure_supervision
from skillswap_ops.wiring import LocalContext

# In the order in which they are restarted: what others rest on comes before them.
COMPONENTS: dict[str, Callable[[Context], tuple[Group, ...]]] = {
    "mongo": mongo.rolling.set_groups,
    "archiver": mongo.rolling.archiver_groups,
    "routers": mongo.rolling.router_groups,
    "etcd": postgres.rolling.etcd_groups,
    "postgres": postgres.rolling.scope_groups,
    "proxies": postgres.rolling.proxy_groups,
}


@contextmanager
def at_work(context: LocalContext, command: str) -> Iterator[None]:
    """Hold the cluster's lock, with supervision up.

    Raises RefusedError where a fault is in place, or a restore or a change of region half done.
    """
    with exclusive(context.layout.lock, command):
        Journal(context.layout.drills).refuse_if_open()
        regions.refuse_half_done(context.layout)
        restore_state.refuse_half_done(context.layout)
        ensure_supervision(context)
        yield


def stepdown(context: LocalContext, name: str, seconds: int) -> SteppedDown:
    """Have the primary of a shard, or of the config servers, step down."""
    replica_set = mongo.upkeep.replica_set_named(context, name)
    with at_work(context, "mongo stepdown"):
        return mongo.upkeep.hand_over(context, replica_set, seconds)


def resync(context: LocalContext, name: str) -> Resynced:
    """Remove a MongoDB member's data, and have it copy the others'."""
    replica_set, node = mongo.upkeep.set_of(context, name)
    with at_work(context, "mongo member resync"):
        return mongo.upkeep.resync(context, replica_set, node)


def switchover(context: LocalContext) -> SwitchedOver:
    """Hand PostgreSQL's lead to the synchronous standby."""
    with at_work(context, "pg switchover"):
        return postgres.switchover.switch_over(context)


def reinit(context: LocalContext, name: str) -> Reinitialised:
    """Remove a PostgreSQL member's data, and have it copy its leader's."""
    postgres.reinit.scope_of(context, name)
    with at_work(context, "pg reinit"):
        return postgres.reinit.reinit(context, name)


def groups(context: Context, components: Sequence[str] = ()) -> tuple[Group, ...]:
    """What a rolling restart goes through: these components, all without any."""
    return tuple(
        group
        for component, found in COMPONENTS.items()
        if component in components or not components
        for group in found(context)
    )


def plan(context: Context, found: Sequence[Group]) -> list[tuple[str, Move]]:
    """What a rolling restart would do, once one that was killed is finished.

    Raises RefusedError where a group could not stand it.
    """
    if not half_done(context.layout):
        refuse(found)
    return [(group.name, move) for group in found for move in moves(group.members, group.leader())]


def restart(context: LocalContext, components: Sequence[str], say: Say) -> list[Turn]:
    """Restart everything, or these components, one member at a time.

    Raises RefusedError before anything is touched, UnreachableError where the others are not
    whole in time for the next: the rest runs as before then.
    """
    with at_work(context, "restart"):
        found = groups(context, components)
        if resumed := finish(context, data_servers(context)):
            say(f"{resumed} was stopped by a restart that was killed: it is started")
            _await_stand(context, found)
        refuse(found)
        return [turn for group in found for turn in roll(group, context.clock, say)]


def _await_stand(context: Context, found: Sequence[Group]) -> None:
    """Give what was just started time to be whole; what is not by then is refused as ever."""

    def stands() -> bool:
        try:
            refuse(found)
        except RefusedError as error:
            raise UnreachableError(error.message) from error
        return True

    with suppress(UnreachableError):
        wait_for("the rest", stands, seconds=READY_SECONDS, every=0.5, clock=context.clock)
