"""Which secondary answers a report, and how far it is behind.

A router does not say which member answered: replies carry no name, and their `operationTime` and
`$clusterTime` compare a shard with the whole cluster's clock, which other shards move. `host` in
`$collStats` is the machine's name, the same for all members on one machine. So the member is
chosen, and the declared read preference narrowed to it by the tags that provisioning gives every
member (its region and zone): a router sends the read there or nowhere. How far it is, is asked of
the members themselves before the read begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pymongo.read_preferences import Primary, Secondary

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from cluster.freshness import PRIMARY, SETTLE_SECONDS, Answered, Asked, Reached, answered
from cluster.inventory import Kind, Node
from mongo import nodes
from mongo.client import Document, ask_all, node_client
from mongo.credentials import MONITOR, login
from mongo.nodes import SetNodes
from mongo.set_model import State

STORE = "MongoDB"
PRIMARY_HINT = "look at `skillswap-ops status`; `--from primary` asks the primary instead"


@dataclass(frozen=True)
class Seen:
    """A member as it described itself."""

    node: Node
    state: State
    term: int
    reached: Reached
    now: datetime


@dataclass(frozen=True)
class Choice:
    """Where a segment's reports read. `tags` narrow a secondary read; None reads the primary."""

    tags: tuple[tuple[str, str], ...] | None
    answered: Answered

    @property
    def preference(self) -> Primary | Secondary:
        """In the driver's words."""
        return Primary() if self.tags is None else Secondary(tag_sets=[dict(self.tags)])


def choose(context: Context, segment: str, *, primary: bool = False) -> Choice:
    """The least stale secondaries of a segment, one zone's; or its `primary`.

    Waits up to SETTLE_SECONDS for one to get where the primary was when it was asked. Raises
    RefusedError where no secondary can answer, UnreachableError where no primary can and it is
    asked for.
    """
    names = {shard.name for shard in context.topology.mongo.segments[segment]}
    shards = [one for one in nodes.shards(context) if one.name in names]
    seen = [_ask(context, shard) for shard in shards]
    asked = [asked_of(members) for members in seen]
    if primary:
        return at_primary(seen, asked)
    return _settled(context, shards, seen, asked)


def parse_member(node: Node, answer: Document) -> Seen:
    """A member's answer to replSetGetStatus. Its own clock stands in `now`."""
    optimes = answer["optimes"]
    applied = optimes["appliedOpTime"]["ts"]
    return Seen(
        node,
        State(answer["myState"]),
        int(answer["term"]),
        Reached((applied.time << 32) + applied.inc, _utc(optimes["lastAppliedWallTime"])),
        _utc(answer["date"]),
    )


def asked_of(members: Sequence[Seen]) -> Asked | None:
    """Where the primary is: the one of the newest term, where two think that they are."""
    primaries = [one for one in members if one.state is State.PRIMARY]
    if not primaries:
        return None
    newest = max(primaries, key=lambda one: one.term)
    return Asked(newest.reached.place, newest.now)


def at_primary(seen: Sequence[Sequence[Seen]], asked: Sequence[Asked | None]) -> Choice:
    """Reading the primaries: never behind. Raises UnreachableError where a set has none."""
    if None in asked:
        raise UnreachableError(
            "a replica set of the segment has no primary that answers",
            "look at `skillswap-ops status`",
        )
    leaders = [one.node.name for members in seen for one in members if one.state is State.PRIMARY]
    oldest = min(one.at for one in asked if one)
    return Choice(None, Answered(STORE, ", ".join(leaders), PRIMARY, oldest, 0.0))


def at_secondaries(seen: Sequence[Sequence[Seen]], asked: Sequence[Asked | None]) -> Choice | None:
    """The zone whose secondaries are least stale, of those that have one of every shard.

    A zone with two of a set may answer by either: it is as stale as the staler one. None where no
    zone has one of every shard.
    """
    secondaries = [[one for one in members if one.state is State.SECONDARY] for members in seen]
    zones = {_tags(one.node) for members in secondaries for one in members}
    choices = [
        _of_zone(tags, secondaries, asked)
        for tags in sorted(zones)
        if all(any(_tags(one.node) == tags for one in members) for members in secondaries)
    ]
    return min(choices, key=lambda one: _age(one.answered), default=None)


def _of_zone(
    tags: tuple[tuple[str, str], ...],
    secondaries: Sequence[Sequence[Seen]],
    asked: Sequence[Asked | None],
) -> Choice:
    every = [
        answered(STORE, one.node.name, "secondary", primary, one.reached)
        for members, primary in zip(secondaries, asked, strict=True)
        for one in members
        if _tags(one.node) == tags
    ]
    stalest = max(every, key=_age)
    names = ", ".join(one.member for one in every)
    return Choice(
        tags,
        Answered(STORE, names, "secondary", stalest.as_of, stalest.staleness_seconds),
    )


def _age(one: Answered) -> float:
    return float("inf") if one.staleness_seconds is None else one.staleness_seconds


def _settled(
    context: Context,
    shards: Sequence[SetNodes],
    seen: Sequence[Sequence[Seen]],
    asked: Sequence[Asked | None],
) -> Choice:
    latest = [at_secondaries(seen, asked)]

    def caught_up() -> Choice | None:
        choice = latest[-1]
        if choice and choice.answered.staleness_seconds == 0:
            return choice
        latest.append(at_secondaries([_ask(context, shard) for shard in shards], asked))
        return None

    try:
        return wait_for("a secondary", caught_up, seconds=SETTLE_SECONDS, clock=context.clock)
    except UnreachableError:
        if latest[-1] is None:
            names = " and ".join(shard.name for shard in shards)
            raise RefusedError(f"no secondary of {names} can answer", PRIMARY_HINT) from None
        return latest[-1]


def _ask(context: Context, shard: SetNodes) -> list[Seen]:
    members = [node for node in shard.nodes if node.kind is not Kind.ARBITER]
    return [one for one in ask_all(members, partial(_ask_member, context)) if one]


def _ask_member(context: Context, node: Node) -> Seen | None:
    try:
        with node_client(node, login(context, MONITOR)) as client:
            return parse_member(node, client.admin.command("replSetGetStatus"))
    except (OpsError, KeyError):  # down, or with nothing in it yet: nobody to read from
        return None


def _tags(node: Node) -> tuple[tuple[str, str], ...]:
    return (("region", node.region), ("zone", node.zone))


def _utc(moment: datetime) -> datetime:
    """The driver gives UTC without saying so."""
    return moment.replace(tzinfo=UTC)
