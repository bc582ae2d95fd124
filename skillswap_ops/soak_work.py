"""Day-2 work as rounds of a soak: what the commands do, by the same functions, under its load.

Work must succeed on a whole cluster: where it does not, that round broke a promise. A safeguard
that refuses is asked again for a while, for a member may still be catching up. The healers that a
killed soak needs are those of the faults that do the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import mongo.upkeep
import postgres.reinit
import postgres.switchover
from cluster.context import Context
from cluster.drill.contracts import Fault, Round, Seen, Stage, UndoRecord
from cluster.drill.injection import WorkFailedError
from cluster.errors import InconclusiveError, OpsError, RefusedError
from cluster.faults.kill import START_SERVERS
from cluster.inventory import Kind
from cluster.rolling import Group, refuse, roll
from cluster.target import CanWipe, Hit
from mongo import nodes
from mongo.drills.common import cannot_lose_one
from mongo.faults.stepdown import ALLOW_ELECTION
from mongo.faults.who import secondaries_of
from mongo.nodes import SetNodes
from postgres.drills.skips import no_standby
from postgres.faults.switchover import SETTLE_SWITCHOVER
from postgres.faults.who import leader
from postgres.scopes import primary_scope
from skillswap_ops.engines import data_servers
from skillswap_ops.upkeep import COMPONENTS, groups

WORD = "work-"  # how the names of these rounds begin
PATIENCE_SECONDS = 60.0  # so long a safeguard may refuse on a cluster that is whole
WHOLE_SECONDS = 300.0  # so long a member may take to copy what a drill's cluster holds
QUORUM = 3  # members of an etcd of which one may be away

Choose = Callable[[Context, Seen, Random], Fault]


@dataclass(frozen=True)
class Work:
    """One piece of work, its targets already chosen; `do` says what it did."""

    context: Context
    name: str
    undo: UndoRecord
    do: Callable[[], str]

    def inject(self) -> Hit:
        """Do it. Raises WorkFailedError where it fails, InconclusiveError where it is refused."""
        clock = self.context.clock
        began = clock.monotonic()
        while True:
            try:
                return Hit(began, f"{self.do()}, in {clock.monotonic() - began:.1f} s")
            except RefusedError as error:
                if clock.monotonic() - began > PATIENCE_SECONDS:
                    raise InconclusiveError(f"{self.name}: refused: {error.message}") from error
                clock.sleep(1)
            except OpsError as error:
                raise WorkFailedError(error.message, error.hint) from error


def rounds(context: Context) -> Iterator[Round]:
    """What can be done to this topology on the local target, where these commands are."""
    for name, choose in _choices(context) if context.target.name == "local" else ():
        yield Round(WORD + name, (Stage(partial(choose, context)),), lasts=False)


def restart_of_everything(context: Context) -> Round:
    """What `restart --rolling` does; refused where a group could not stand it."""
    return Round(
        f"{WORD}restart", (Stage(partial(_restart_all, groups(context), context)),), lasts=False
    )


def _choices(context: Context) -> Iterator[tuple[str, Choose]]:
    if _sets(context):
        yield "stepdown", _stepdown
    if _shards(context) and not context.target.lacks(CanWipe):
        yield "resync", _resync
    if not no_standby(context):
        yield "switchover", _switchover
        yield "reinit", _reinit
    for component in COMPONENTS:
        if found := _groups(context, component):
            yield f"restart-{component}", partial(_restart, found)


def _sets(context: Context) -> tuple[SetNodes, ...]:
    return tuple(one for one in nodes.replica_sets(context) if not cannot_lose_one(context, one))


def _shards(context: Context) -> tuple[SetNodes, ...]:
    """Those whose primary is watched."""
    return tuple(one for one in _sets(context) if not one.holds_config)


def _groups(context: Context, component: str) -> tuple[Group, ...]:
    """Groups that can spare a member, by the topology: what has no other is not restarted."""
    spare = {one.name for one in _sets(context)}
    if component == "postgres" and no_standby(context):
        return ()
    return tuple(
        group
        for group in COMPONENTS[component](context)
        if len(group.members) >= (QUORUM if component == "etcd" else 2)
        and (component != "mongo" or group.name in spare)
    )


def _stepdown(context: Context, _seen: Seen, chance: Random) -> Fault:
    replica_set = chance.choice(_sets(context))
    bearing = [node.name for node in replica_set.nodes if node.kind is not Kind.ARBITER]

    def do() -> str:
        done = mongo.upkeep.hand_over(context, replica_set)
        return f"{done.before} stepped down, {done.after} leads"

    return Work(
        context,
        f"mongo stepdown {replica_set.name}",
        UndoRecord(ALLOW_ELECTION, tuple(bearing)),
        do,
    )


def _resync(context: Context, seen: Seen, chance: Random) -> Fault:
    replica_set = chance.choice(_shards(context))
    name = chance.choice(secondaries_of(replica_set, seen))
    node = context.inventory.named(name)

    def do() -> str:
        removed = mongo.upkeep.empty(context, replica_set, node)
        mongo.upkeep.await_whole(context, replica_set, WHOLE_SECONDS)
        return f"{removed}; {name} is level with the others"

    return Work(context, f"mongo member resync {name}", _started(context, [name]), do)


def _switchover(context: Context, seen: Seen, _chance: Random) -> Fault:
    before = leader(primary_scope(context), seen).name

    def do() -> str:
        done = postgres.switchover.switch_over(context)
        return f"{done.before} handed over to {done.after}"

    return Work(context, "pg switchover", UndoRecord(SETTLE_SWITCHOVER, (before,)), do)


def _reinit(context: Context, seen: Seen, chance: Random) -> Fault:
    scope = primary_scope(context)
    leads = leader(scope, seen)
    name = chance.choice([node.name for node in scope.members if node != leads])

    def do() -> str:
        source = postgres.reinit.begin(context, name)
        postgres.switchover.await_whole(context, scope, WHOLE_SECONDS)
        return f"copied from {source}"

    return Work(context, f"pg reinit {name}", _started(context, [name]), do)


def _restart(among: Sequence[Group], context: Context, _seen: Seen, chance: Random) -> Fault:
    group = chance.choice(among)
    return _rolled((group,), context, f"rolling restart of {group.name}")


def _restart_all(all_groups: Sequence[Group], context: Context, _seen: Seen, _: Random) -> Fault:
    return _rolled(all_groups, context, "rolling restart of everything")


def _rolled(chosen: Sequence[Group], context: Context, name: str) -> Fault:
    def do() -> str:
        refuse(chosen)
        turns = [turn for group in chosen for turn in roll(group, context.clock, lambda _: None)]
        return "; ".join(str(turn.move) for turn in turns)

    members = [member for group in chosen for member in group.members]
    return Work(context, name, _started(context, members), do)


def _started(context: Context, names: Iterable[str]) -> UndoRecord:
    """Where the work was killed in its midst: the servers of these nodes run."""
    wanted = set(names)
    servers = (server.name for server in data_servers(context) if server.node.name in wanted)
    return UndoRecord(START_SERVERS, tuple(servers))
