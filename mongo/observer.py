"""Watches who leads a replica set while a drill breaks it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from bson.objectid import ObjectId
from pymongo.errors import PyMongoError

from cluster.context import Context
from cluster.drill.contracts import Observation
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from mongo.client import Client, knock, open_client
from mongo.credentials import MONITOR, login
from mongo.nodes import SetNodes, host

MEMBER_SECONDS = 1.0  # longest wait for one member's answer
SLOW_SECONDS = 0.1  # the same for a member whose last answer did not come in time
Document = Mapping[str, Any]


@dataclass(frozen=True)
class View:
    """One member's view. `down` are the hosts that it holds for lost."""

    node: str
    primary: bool
    term: int | None = None
    down: frozenset[str] = frozenset()


@dataclass
class _Member:
    node: Node
    client: Client
    asking: Future[View] | None = None
    slow: bool = False

    @property
    def free(self) -> bool:
        """Whether it may be asked: an answer to an older question would be old news."""
        return self.asking is None or self.asking.done()


class SetObserver:
    """Asks all members at once; a frozen one costs one slow sample, and is silent in the next.

    `primary` means that the member says itself that it takes writes (`hello`), and its term is in
    the same answer, so that a stale primary is told from a real one.
    """

    def __init__(self, context: Context, replica_set: SetNodes) -> None:
        self._set = replica_set
        user = login(context, MONITOR)
        self._members = [
            _Member(
                node,
                # An arbiter holds no users; `hello` answers anybody.
                open_client(
                    [host(node)],
                    None if node.kind is Kind.ARBITER else user,
                    MEMBER_SECONDS,
                    node.trust,
                    directConnection=True,
                ),
            )
            for node in replica_set.nodes
        ]
        self._pool = ThreadPoolExecutor(
            len(self._members), thread_name_prefix=f"observe {replica_set.name}"
        )
        self._led = ""  # the host that led last: the one whose loss is to be noticed

    @property
    def group(self) -> str:
        """The replica set."""
        return self._set.name

    def sample(self) -> Observation:
        """What the members say now. Raises UnreachableError where none answers."""
        asked = [
            (member, self._pool.submit(_view, member)) for member in self._members if member.free
        ]
        wait([future for member, future in asked if not member.slow], MEMBER_SECONDS)
        wait([future for member, future in asked if member.slow], SLOW_SECONDS)
        for member, future in asked:
            member.asking, member.slow = future, not future.done()
        views = [view for _, future in asked if (view := _take(future))]
        if not views:
            raise UnreachableError(f"no member of {self.group} answers")
        observation = observe(views, self._led)
        if len(observation.leaders) == 1:
            self._led = host(self._node(observation.leaders[0]))
        return observation

    def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for member in self._members:
            member.client.close()

    def _node(self, name: str) -> Node:
        return next(node for node in self._set.nodes if node.name == name)


def _take(future: Future[View]) -> View | None:
    if not future.done():
        return None
    try:
        return future.result()
    except (PyMongoError, OpsError):
        return None


def _view(member: _Member) -> View:
    knock(member.node, MEMBER_SECONDS)  # the driver would wait where a port is closed
    hello = member.client.admin.command("hello")
    arbiter = member.node.kind is Kind.ARBITER
    status = {} if arbiter else member.client.admin.command("replSetGetStatus")
    return parse_view(member.node.name, hello, status)


def parse_view(node: str, hello: Document, status: Document) -> View:
    """A member's view from its answers to hello and replSetGetStatus ({}: not asked)."""
    down = {member["name"] for member in status.get("members", ()) if not member.get("health", 1)}
    primary = bool(hello.get("isWritablePrimary"))
    return View(node, primary, _term(hello) if primary else status.get("term"), frozenset(down))


def _term(hello: Document) -> int | None:
    """The term of a primary's election, which its electionId ends with (OID::fromTerm)."""
    election = hello.get("electionId")
    return int.from_bytes(election.binary[4:], "big") if isinstance(election, ObjectId) else None


def observe(views: Sequence[View], led: str) -> Observation:
    """The set from its members' views; `led` is the host that was its primary last."""
    claims = [view for view in views if view.primary]
    newest = max((view.term for view in claims if view.term is not None), default=None)
    leaders = [view for view in claims if newest is None or view.term == newest]
    return Observation(
        leaders=tuple(sorted(view.node for view in leaders)),
        epoch=newest,
        detected_down=any(led in view.down for view in views),
        stale=tuple(sorted(view.node for view in claims if view not in leaders)),
        detail=f"{len(views)} members answer",
    )
