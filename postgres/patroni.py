"""Patroni's REST API: what members say, parsed into values, and the few requests that change."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from cluster.web import Answer, basic, request
from postgres.dynamic import JsonObject
from postgres.names import PATRONI_PORT, REST_USER
from postgres.scopes import Scope

LEADER_ROLES = frozenset({"leader", "master", "primary", "standby_leader"})
SECONDS = 1.0
CHANGE_SECONDS = 10.0
SWITCHOVER_SECONDS = 30.0  # Patroni itself looks for the new leader for 20 s or more


@dataclass(frozen=True)
class Member:
    """A row of `/cluster`. `lag` is in bytes behind the leader, None where it is not known.

    `mark` names the passwords that it runs with (`postgres.servers.passwords_mark`).
    """

    name: str
    role: str
    state: str
    timeline: int | None = None
    lag: int | None = None
    mark: str = ""

    @property
    def leads(self) -> bool:
        """Whether it holds the leader key."""
        return self.role in LEADER_ROLES


@dataclass(frozen=True)
class ClusterView:
    """A scope as one member sees it in etcd."""

    members: tuple[Member, ...]
    paused: bool = False

    @property
    def leader(self) -> Member | None:
        """Who holds the leader key."""
        return next((member for member in self.members if member.leads), None)

    def named(self, name: str) -> Member | None:
        """The member of that name."""
        return next((member for member in self.members if member.name == name), None)


@dataclass(frozen=True)
class Replication:
    """A connection of a standby to the member that was asked."""

    name: str
    state: str
    sync_state: str


@dataclass(frozen=True)
class MemberState:
    """A member by its own account (`/patroni`). `unlocked`: it sees that nobody leads.

    `started` is when its postmaster was, in Patroni's words: another one has another.
    """

    state: str
    role: str
    timeline: int | None
    unlocked: bool
    paused: bool
    failsafe_active: bool
    replication: tuple[Replication, ...]
    replication_state: str
    sync_standby: bool
    pending_restart: bool
    dcs_last_seen: int
    started: str = ""

    @property
    def running(self) -> bool:
        """Whether its PostgreSQL takes connections."""
        return self.state == "running"

    @property
    def primary(self) -> bool:
        """Whether its PostgreSQL takes writes."""
        return self.running and self.role in {"primary", "master"}

    def standby(self, name: str) -> Replication | None:
        """The replication connection of a standby."""
        return next((row for row in self.replication if row.name == name), None)


def parse_cluster(text: Mapping[str, object]) -> ClusterView:
    """The answer of `/cluster`."""
    rows = text.get("members")
    members = tuple(
        Member(
            name=str(row.get("name", "")),
            role=str(row.get("role", "")),
            state=str(row.get("state", "")),
            timeline=_integer(row.get("timeline")),
            lag=_integer(row.get("lag")),
            mark=_mark(row.get("tags")),
        )
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    )
    return ClusterView(members, paused=bool(text.get("pause")))


def parse_state(text: Mapping[str, object]) -> MemberState:
    """The answer of `/patroni`."""
    rows = text.get("replication")
    return MemberState(
        state=str(text.get("state", "")),
        role=str(text.get("role", "")),
        timeline=_integer(text.get("timeline")),
        unlocked=bool(text.get("cluster_unlocked")),
        paused=bool(text.get("pause")),
        failsafe_active=bool(text.get("failsafe_mode_is_active")),
        replication=tuple(
            Replication(
                str(row.get("application_name", "")),
                str(row.get("state", "")),
                str(row.get("sync_state", "")),
            )
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, dict)
        ),
        replication_state=str(text.get("replication_state", "")),
        sync_standby=bool(text.get("sync_standby")),
        pending_restart=bool(text.get("pending_restart")),
        dcs_last_seen=_integer(text.get("dcs_last_seen")) or 0,
        started=str(text.get("postmaster_start_time") or ""),
    )


def state(node: Node, seconds: float = SECONDS) -> MemberState:
    """A member by its own account, whatever its HTTP status. Raises UnreachableError."""
    return parse_state(_get(node, "/patroni", seconds).object())


def cluster(node: Node, seconds: float = SECONDS) -> ClusterView:
    """The scope as a member sees it. Raises UnreachableError."""
    return parse_cluster(_get(node, "/cluster", seconds).object())


def config(node: Node, seconds: float = SECONDS) -> JsonObject:
    """The dynamic configuration. Raises UnreachableError where there is none yet."""
    answer = _get(node, "/config", seconds)
    if not answer.ok:
        raise UnreachableError(f"{node.name} has no dynamic configuration yet")
    return answer.object()  # type: ignore[return-value] # JSON from Patroni


def version(node: Node, seconds: float = SECONDS) -> str:
    """Patroni's version on a node. Raises UnreachableError."""
    about = _get(node, "/patroni", seconds).object().get("patroni")
    return str(about.get("version", "")) if isinstance(about, dict) else ""


def states(nodes: Sequence[Node], seconds: float = SECONDS) -> dict[str, MemberState]:
    """The members that answer, by name, all asked at once."""
    if not nodes:
        return {}
    with ThreadPoolExecutor(len(nodes), thread_name_prefix="patroni") as pool:
        answers = pool.map(lambda node: _state_or_none(node, seconds), nodes)
        return {node.name: answer for node, answer in zip(nodes, answers, strict=True) if answer}


def find_leader(scope: Scope, seconds: float = SECONDS) -> Node | None:
    """The member that holds the leader key, as the first member that answers sees it.

    Raises UnreachableError where no member answers.
    """
    leader = view_of(scope.members, seconds).leader
    return next((node for node in scope.members if leader and node.name == leader.name), None)


def leader_of(scope: Scope, seconds: float = SECONDS) -> Node:
    """Who leads. Raises UnreachableError where nobody does."""
    leader = find_leader(scope, seconds)
    if leader is None:
        raise UnreachableError(f"nobody leads {scope.name}", "look at `status`")
    return leader


def view_of(nodes: Sequence[Node], seconds: float = SECONDS) -> ClusterView:
    """The scope as the first member that answers sees it. Raises UnreachableError."""
    reason = "it has no members"
    for node in nodes:
        try:
            return cluster(node, seconds)
        except UnreachableError as error:
            reason = error.message
    raise UnreachableError(f"no Patroni of the scope answers: {reason}", "look at `status`")


def change_config(node: Node, password: str, changes: JsonObject) -> None:
    """PATCH the dynamic configuration; changes nothing, and is refused, where `changes` is empty.

    Raises OpsError where Patroni refuses, UnreachableError where it does not answer.
    """
    _send(node, password, "PATCH", "/config", changes)


def wake(node: Node, password: str) -> None:
    """Make the leader look now instead of at the end of its `loop_wait`.

    A PATCH that changes nothing ends in Patroni's own `ha.wakeup()`. Best effort.
    """
    try:
        change_config(node, password, {"ttl": config(node)["ttl"]})
    except (OpsError, KeyError):
        return


def switchover(leader: Node, password: str) -> str:
    """Hand the lead to the standby that Patroni chooses; returns Patroni's words once it has.

    Raises OpsError where Patroni refuses or fails, UnreachableError where it does not answer.
    """
    body = {"leader": leader.name}
    return _send(leader, password, "POST", "/switchover", body, SWITCHOVER_SECONDS).text


def reinitialise(node: Node, password: str) -> None:
    """Make a member's data anew from the leader."""
    _send(node, password, "POST", "/reinitialize", {"force": True})


def _state_or_none(node: Node, seconds: float) -> MemberState | None:
    try:
        return state(node, seconds)
    except UnreachableError:
        return None


def _get(node: Node, path: str, seconds: float) -> Answer:
    return request(node.address, PATRONI_PORT, "GET", path, seconds=seconds, trust=node.trust)


def _send(
    node: Node,
    password: str,
    method: str,
    path: str,
    body: JsonObject,
    seconds: float = CHANGE_SECONDS,
) -> Answer:
    headers = {**basic(REST_USER, password), "Content-Type": "application/json"}
    answer = request(
        node.address,
        PATRONI_PORT,
        method,
        path,
        body=body,
        headers=headers,
        seconds=seconds,
        trust=node.trust,
    )
    if not answer.ok:
        raise OpsError(f"{node.name}'s Patroni refuses {method} {path}: {answer.text[:200]}")
    return answer


def _mark(tags: object) -> str:
    return str(tags.get("credentials", "")) if isinstance(tags, dict) else ""


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None
