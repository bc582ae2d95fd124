"""Makes replica sets: asks every member, decides, does one move, and asks again."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Self

from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.plan import Finding, Step, done, todo
from cluster.topology import MongoTimings
from mongo.client import NOT_YET_INITIALIZED, Client, as_ops_error, ask_all, error_text, node_client
from mongo.credentials import internal
from mongo.nodes import SetNodes, host
from mongo.replica_set import (
    Action,
    Initiate,
    Move,
    Nothing,
    Reconfigure,
    Refuse,
    StepUp,
    Wait,
    decide,
    initial_document,
    next_document,
)
from mongo.set_model import Answer, Member, Timings, Wanted, parse_config, parse_status, removed

CONVERGE_SECONDS = 120  # a new member's initial sync goes on beyond it; run again to wait on
EVERY_SECONDS = 0.05
INITIATE_SECONDS = 10  # replSetInitiate asks all members and writes the first oplog entry
NOT_A_MEMBER = 93  # InvalidReplicaSetConfig
# A set on the move answers with these; the next look decides again.
PASSING = {
    23,  # AlreadyInitialized: an initiation that was cut short had come through
    109,  # ConfigurationInProgress
    125,  # CommandFailed: "Election failed.", other members have yet to take the configuration
    308,  # CurrentConfigNotCommittedYet
    10107,  # NotWritablePrimary
    11602,  # InterruptedDueToReplStateChange
}


def heartbeat_timeout(timings: MongoTimings) -> int:
    """heartbeatTimeoutSecs, which are whole: an election should not wait for a frozen member."""
    return max(1, round(timings.election_timeout))


def wanted(context: Context, replica_set: SetNodes) -> Wanted:
    """The set as the topology wants it.

    All data-bearing members have the same priority: a returning member causes no second election.
    """
    seconds = context.topology.mongo.timings
    timings = Timings(
        election_timeout=int(seconds.election_timeout * 1000),
        heartbeat_interval=int(seconds.heartbeat_interval * 1000),
        heartbeat_timeout=heartbeat_timeout(seconds),
    )
    return Wanted(
        name=replica_set.name,
        members=tuple(_member(node) for node in replica_set.nodes),
        timings=timings,
        holds_config=replica_set.holds_config,
    )


def _member(node: Node) -> Member:
    if node.kind is Kind.ARBITER:  # the server takes neither tags nor a priority for these
        return Member(host(node), arbiter=True, priority=0)
    return Member(host(node), tags=(("region", node.region), ("zone", node.zone)))


def observe(context: Context, replica_set: SetNodes) -> list[Answer]:
    """What every member says, all asked at once."""
    with _Members(context, replica_set) as members:
        return members.answers()


class _Members:
    """The members of a set, over connections that are kept between two looks."""

    def __init__(self, context: Context, replica_set: SetNodes) -> None:
        self._nodes = replica_set.nodes
        self._login = internal(context)
        self._clients: dict[Node, Client] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answers(self) -> list[Answer]:
        """What every member says now; a silent one is an answer too."""
        return ask_all(self._nodes, self._answer)

    def _answer(self, node: Node) -> Answer:
        try:
            if node not in self._clients:
                client = node_client(node, self._login)
                self._clients[node] = self._stack.enter_context(client)
            return _ask(host(node), self._clients[node])
        except PyMongoError as error:
            return Answer(host(node), silent=as_ops_error(node.name, error).message)
        except OpsError as error:
            return Answer(host(node), silent=error.message)


def _ask(name: str, client: Client) -> Answer:
    try:
        config = parse_config(client.admin.command("replSetGetConfig")["config"])
    except OperationFailure as error:
        if error.code == NOT_YET_INITIALIZED:
            return Answer(name)
        raise
    try:
        return parse_status(name, config, client.admin.command("replSetGetStatus"))
    except OperationFailure as error:
        if error.code == NOT_A_MEMBER:
            return removed(name, config)
        raise


def steps(context: Context, replica_set: SetNodes) -> tuple[Step, Step]:
    """The set has its configuration and a primary; then: all its members serve.

    Two, so that users can be made while members still copy their first data.
    """
    size = len(replica_set.nodes)
    led = _step(
        context,
        replica_set,
        name=replica_set.step,
        what=f"make {replica_set.name} of {size} members, with a primary",
        enough=lambda move: isinstance(move, Nothing) or (isinstance(move, Wait) and move.led),
    )
    whole = _step(
        context,
        replica_set,
        name=members_step(replica_set),
        what=f"wait until all {size} members of {replica_set.name} serve",
        enough=lambda move: isinstance(move, Nothing),
    )
    starts = tuple(f"start {node.name}" for node in replica_set.nodes)
    return replace(led, needs=starts), replace(whole, needs=(led.name,))


def members_step(replica_set: SetNodes) -> str:
    """The step after which every member serves."""
    return f"members {replica_set.name}"


def _step(
    context: Context,
    replica_set: SetNodes,
    *,
    name: str,
    what: str,
    enough: Callable[[Move], bool],
) -> Step:
    target = wanted(context, replica_set)

    def next_move(members: _Members) -> Move:
        move = decide(target, members.answers())
        if isinstance(move, Refuse):
            raise RefusedError(move.why, move.hint)
        return move

    def check() -> Finding:
        with _Members(context, replica_set) as members:
            move = next_move(members)
        return done(move.why) if enough(move) else todo(move.why)

    def settled(members: _Members) -> bool:
        move = next_move(members)
        if enough(move):
            return True
        if isinstance(move, Action):
            make(context, replica_set, move)
        raise UnreachableError(move.why)

    def act() -> None:
        with _Members(context, replica_set) as members:
            wait_for(
                replica_set.name,
                partial(settled, members),
                seconds=CONVERGE_SECONDS,
                every=EVERY_SECONDS,
                clock=context.clock,
            )

    return Step(name, replica_set.component, what, check, act)


def make(context: Context, replica_set: SetNodes, action: Action) -> None:
    """Ask one server for one move; an answer that only says "not now" is none.

    Raises OpsError where the server refuses it, UnreachableError where it does not answer.
    """
    target = wanted(context, replica_set)
    node = next(node for node in replica_set.nodes if host(node) == action.host)
    with node_client(node, internal(context), seconds=INITIATE_SECONDS) as client:
        try:
            client.admin.command(*_command(target, action))
        except OperationFailure as error:
            if error.code not in PASSING:
                raise OpsError(f"{node.name}: {error_text(error)}") from error
        except AutoReconnect:  # the server closes connections when its role changes
            return


def _command(target: Wanted, action: Action) -> tuple[str, object]:
    match action:
        case Initiate():
            return "replSetInitiate", initial_document(target)
        case StepUp():
            return "replSetStepUp", 1
        case Reconfigure():
            return "replSetReconfig", next_document(action)
