"""Facts of MongoDB: replica sets, members, routers, the archiver. The monitoring user asks.

`parse_*` and what follows from them are pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from mongo import nodes
from mongo.backup.locking import is_locked
from mongo.client import Client, ask_all, node_client
from mongo.credentials import MONITOR, login
from mongo.nodes import SetNodes
from mongo.set_model import SERVING, State
from runbooks.facts.records import ClockOffset, Fact, Facts, MongoMember, MongoSet

SECONDS = 4.0  # a slow machine is no lost server
LOG_BYTES = 256 * 1024
# A member's last heartbeat comes at most this long before the election that its loss causes, over
# the election timeout: heartbeats, and the vote itself.
ELECTION_SLACK = 5.0
FULL = 0.9  # of its size: an oplog gives way in stones of a hundredth or so
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another member, as a member sees it."""

    host: str
    answers: bool
    heard: datetime | None


@dataclass(frozen=True)
class Said:
    """What one member says. `elected`: when its set's last election was, if it won that one."""

    host: str
    state: State
    applied: datetime | None
    elected: datetime | None
    timeout: float
    peers: tuple[Peer, ...]
    votes: int
    oplog_hours: float | None = None
    oplog_full: bool | None = None
    locked: bool | None = None
    clock: float | None = None


@dataclass(frozen=True)
class Looked:
    """A member that was asked: what it said, or the end of its log."""

    node: Node
    said: Said | None
    corrupt: bool | None = None
    arbiter: bool = field(default=False)


def read(context: Context) -> Facts:
    """Every set and member, all asked at once."""
    sets = nodes.replica_sets(context)
    asked = [(replica_set, node) for replica_set in sets for node in replica_set.nodes]
    looked = ask_all([node for _, node in asked], partial(_look, context))
    names = nodes.names(context)
    facts: list[Fact] = []
    for replica_set in sets:
        of = [
            one for (one_set, _), one in zip(asked, looked, strict=True) if one_set == replica_set
        ]
        facts += [set_fact(replica_set, of, names), *member_facts(replica_set, of)]
    clocks = [(one.node.name, one.said.clock) for one in looked if one.said]
    facts += [ClockOffset(name, name, at) for name, at in clocks if at is not None]
    return Facts(tuple(facts))


def set_fact(replica_set: SetNodes, looked: Sequence[Looked], names: Mapping[str, str]) -> MongoSet:
    """A set, from what its members said."""
    said = [one.said for one in looked if one.said]
    primaries = [one for one in said if one.state is State.PRIMARY]
    newest = max(
        primaries, key=lambda one: one.elected or datetime.min.replace(tzinfo=UTC), default=None
    )
    votes = max((one.votes for one in said), default=len(replica_set.nodes))
    return MongoSet(
        name=replica_set.name,
        group=replica_set.name,
        role="config" if replica_set.holds_config else "shard",
        total=len(replica_set.nodes),
        answering=len(said),
        serving=sum(one.state in SERVING for one in said),
        majority=votes // 2 + 1,
        primary=names.get(newest.host, newest.host) if newest else "",
        primary_lost=bool(newest and _led_before(newest)),
    )


def member_facts(replica_set: SetNodes, looked: Sequence[Looked]) -> list[MongoMember]:
    """The members that hold data, each with its lag behind the newest of its set."""
    newest = max(
        (one.said.applied for one in looked if one.said and one.said.applied), default=None
    )
    return [
        MongoMember(
            name=one.node.name,
            group=replica_set.name,
            role="config" if replica_set.holds_config else "shard",
            answers=one.said is not None,
            state=one.said.state.name if one.said else "DOWN",
            corrupt=one.corrupt,
            lag_seconds=_lag(one.said, newest),
            oplog_hours=one.said.oplog_hours if one.said else None,
            oplog_full=one.said.oplog_full if one.said else None,
            locked=one.said.locked if one.said else None,
        )
        for one in looked
        if not one.arbiter
    ]


def parse_said(host: str, status: Document) -> Said:
    """A member's answer to replSetGetStatus."""
    metrics = status.get("electionCandidateMetrics", {})
    peers = tuple(
        Peer(one["name"], bool(one.get("health", 1)), one.get("lastHeartbeatRecv"))
        for one in status["members"]
        if not one.get("self")
    )
    return Said(
        host=host,
        state=State(status["myState"]),
        applied=status.get("optimes", {}).get("lastAppliedWallTime"),
        elected=metrics.get("lastElectionDate"),
        timeout=float(metrics.get("electionTimeoutMillis", 10_000)) / 1000,
        peers=peers,
        votes=int(status.get("votingMembersCount", len(peers) + 1)),
    )


def says_corrupt(log: Iterable[str]) -> bool:
    """Whether a mongod's log ends with damaged data: since its last start, a checksum or a panic.

    https://www.mongodb.com/docs/manual/reference/log-messages/ (structured, one JSON a line)
    """
    found = False
    for line in log:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        if entry.get("msg") == "MongoDB starting":
            found = False
        if entry.get("s") in {"E", "F"} and any(word in line for word in _DAMAGE):
            found = True
    return found


_DAMAGE = (
    "checksum",
    "WT_PANIC",
    "WT_ERROR",
    "DataCorruptionDetected",
    "is corrupt",
    "WT_TRY_SALVAGE",
)


def _led_before(primary: Said) -> bool:
    """Whether a member that is gone was heard last just before this one was elected."""
    if primary.elected is None:
        return False
    slack = primary.timeout * 1.2 + ELECTION_SLACK
    return any(
        not peer.answers
        and peer.heard is not None
        and -1.0 <= (primary.elected - _aware(peer.heard)).total_seconds() <= slack
        for peer in primary.peers
    )


def _lag(said: Said | None, newest: datetime | None) -> float | None:
    if said is None or said.applied is None or newest is None or said.state is State.PRIMARY:
        return None
    return max(0.0, (newest - said.applied).total_seconds())


def _look(context: Context, node: Node) -> Looked:
    arbiter = node.kind is Kind.ARBITER
    user = None if arbiter else login(context, MONITOR)
    try:
        with node_client(node, user, seconds=SECONDS) as client:
            return Looked(node, _ask(client, node, arbiter=arbiter), arbiter=arbiter)
    except OpsError:
        return Looked(node, None, _log_says_corrupt(context.layout.log(node.name)), arbiter=arbiter)


def _ask(client: Client, node: Node, *, arbiter: bool) -> Said:
    if arbiter:
        return Said(nodes.host(node), State.ARBITER, None, None, 10.0, (), 0)
    before = datetime.now(UTC)
    hello = client.admin.command("hello")
    after = datetime.now(UTC)
    said = parse_said(nodes.host(node), client.admin.command("replSetGetStatus"))
    hours, full = _oplog(client)
    locked = is_locked(client)
    clock = clock_offset(before, _aware(hello["localTime"]), after)
    return _with(said, hours, full, locked, clock)


def _with(said: Said, hours: float | None, full: bool, locked: bool, clock: float) -> Said:  # noqa: FBT001
    return Said(
        said.host,
        said.state,
        _aware(said.applied) if said.applied else None,
        _aware(said.elected) if said.elected else None,
        said.timeout,
        said.peers,
        said.votes,
        hours,
        full,
        locked,
        clock,
    )


def clock_offset(before: datetime, there: datetime, after: datetime) -> float:
    """How far a clock is outside of the time that asking it took, in seconds; 0 where it is in."""
    if there < before:
        return (before - there).total_seconds()
    return max(0.0, (there - after).total_seconds())


def _oplog(client: Client) -> tuple[float | None, bool]:
    """Hours from the oldest to the newest entry, and whether old ones give way already."""
    oplog = client["local"]["oplog.rs"]
    first = next(iter(oplog.find({}, {"ts": 1}).sort("$natural", 1).limit(1)), None)
    last = next(iter(oplog.find({}, {"ts": 1}).sort("$natural", -1).limit(1)), None)
    stats = client["local"].command("collStats", "oplog.rs")
    full = float(stats["size"]) >= FULL * float(stats.get("maxSize", stats.get("max", 0)) or 1e18)
    if first is None or last is None:
        return None, full
    return (last["ts"].time - first["ts"].time) / 3600, full


def _log_says_corrupt(path: Path) -> bool | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return says_corrupt(file.read().decode("utf-8", "replace").splitlines())
    except OSError:
        return None


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
