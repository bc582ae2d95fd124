"""What is done to a running replica set on an ordinary day: step down, copy a member anew."""

from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import (
    InvalidInputError,
    MissingPrerequisiteError,
    OpsError,
    RefusedError,
    UnreachableError,
)
from cluster.inventory import Kind, Node
from cluster.leading import Gap, watching
from cluster.target import CanWipe
from mongo import members, nodes, spare
from mongo.live import laggard
from mongo.nodes import SetNodes, host
from mongo.observer import SetObserver
from mongo.servers import member
from mongo.set_model import SERVING, Answer, State
from mongo.stepdown import STEP_DOWN_SECONDS, step_down

ELECTION_SECONDS = 60.0
WHOLE_SECONDS = 300.0
COPY_SECONDS = 24 * 3600.0  # an initial sync takes as long as the data is large
STATUS_HINT = "`skillswap-ops status` shows what is not well; `provision` starts what is down"


@dataclass(frozen=True)
class SteppedDown:
    """Who gave the lead to whom, and for how long nobody had it."""

    replica_set: str
    before: str
    after: str
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Resynced:
    """A member that has a new copy of the data; `seconds` it took, `removed` says what went."""

    node: str
    removed: str
    seconds: float


def replica_set_named(context: Context, name: str) -> SetNodes:
    """A shard, or `config`. Raises InvalidInputError that names those that there are."""
    found = {one.name: one for one in nodes.replica_sets(context)}
    if name not in found:
        raise InvalidInputError(f"there is no replica set {name}", f"there are: {', '.join(found)}")
    return found[name]


def set_of(context: Context, name: str) -> tuple[SetNodes, Node]:
    """A member that holds data, and its set. Raises InvalidInputError for any other node."""
    node = context.inventory.named(name)
    if node.kind not in {Kind.SHARD, Kind.CONFIG}:
        raise InvalidInputError(
            f"{name} is a {node.kind.value}: it holds no copy of a replica set's data",
            "name a member of a shard or of the config servers",
        )
    return replica_set_named(context, node.group), node


def hand_over(
    context: Context, replica_set: SetNodes, seconds: int = STEP_DOWN_SECONDS
) -> SteppedDown:
    """Have the primary step down, for `seconds`, and wait until another one leads.

    Raises RefusedError where none could take over, UnreachableError where none has in time.
    """
    answers = members.observe(context, replica_set)
    names = nodes.names(context)
    if reason := spare.cannot_hand_over(answers, names):
        raise RefusedError(reason, STATUS_HINT)
    old = leader(context, replica_set, answers)
    with watching(SetObserver(context, replica_set)) as seen:
        step_down(context, context.inventory.named(old), seconds)
        new = wait_for(
            f"a new primary of {replica_set.name}",
            lambda: _other(context, replica_set, old),
            seconds=ELECTION_SECONDS,
            every=0.05,
            clock=context.clock,
        )
    return SteppedDown(replica_set.name, old, new, seen.seen())


def leader(context: Context, replica_set: SetNodes, answers: list[Answer]) -> str:
    """The primary's name. Raises UnreachableError where there is none."""
    found = spare.primary(answers)
    if found is None:
        raise UnreachableError(f"{replica_set.name} has no primary", STATUS_HINT)
    return nodes.names(context)[found.host]


def _other(context: Context, replica_set: SetNodes, old: str) -> str:
    found = spare.primary(members.observe(context, replica_set))
    name = nodes.names(context)[found.host] if found else ""
    return "" if name == old else name


def why_no_resync(context: Context, replica_set: SetNodes, node: Node) -> str:
    """Why a member's data must not be removed now; "" if it may."""
    return spare.cannot_be_without(
        members.observe(context, replica_set), host(node), nodes.names(context)
    )


def resync(context: Context, replica_set: SetNodes, node: Node) -> Resynced:
    """Remove a member's data, and wait until it has copied it from the others.

    Killed anywhere, the same again goes on. Raises as `empty` does, and UnreachableError where the
    set is not whole in time.
    """
    began = context.clock.monotonic()
    removed = empty(context, replica_set, node)
    await_whole(context, replica_set, COPY_SECONDS)
    return Resynced(node.name, removed, context.clock.monotonic() - began)


def empty(context: Context, replica_set: SetNodes, node: Node) -> str:
    """Remove a member's data and start it, so that it copies it; what was removed.

    Raises RefusedError where the set cannot be without it, MissingPrerequisiteError where the
    target cannot remove data.
    """
    target, server = context.target, member(context, replica_set, node)
    if not isinstance(target, CanWipe):
        raise MissingPrerequisiteError(f"the {target.name} target cannot remove a member's data")
    if reason := why_no_resync(context, replica_set, node):
        raise RefusedError(reason, STATUS_HINT)
    target.stop(server)
    try:
        removed = target.wipe(server).proof
    except OpsError:
        if any(context.layout.data(node).iterdir()):
            raise
        removed = "there was no data"  # an earlier run was killed after it had removed it
    target.start(server)
    return removed


def await_whole(context: Context, replica_set: SetNodes, seconds: float = WHOLE_SECONDS) -> None:
    """Until every member serves, and is level. Raises UnreachableError."""

    def whole() -> bool:
        answers = members.observe(context, replica_set)
        if reason := lacking(answers):
            raise UnreachableError(reason, STATUS_HINT)
        return True

    wait_for(replica_set.name, whole, seconds=seconds, every=0.2, clock=context.clock)


def lacking(answers: list[Answer]) -> str:
    """What a whole set has and this one has not; "" for nothing."""
    for answer in answers:
        if answer.silent:
            return answer.silent
        if answer.state not in SERVING:
            return f"{answer.host} is {answer.state.name}"
    if not any(answer.state is State.PRIMARY for answer in answers):
        return "there is no primary"
    return laggard(answers)
