"""When writes are acknowledged and who answers reports, by the word of the members themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from cluster.context import Context
from cluster.inventory import Node
from cluster.schema.findings import Proof
from cluster.schema.guarantees import Guarantee
from cluster.schema.types import Entity
from mongo import guarantees, nodes
from mongo.client import router_client
from mongo.credentials import ADMIN, login
from mongo.schema.proofs.bench import Clients
from mongo.schema.proofs.overheard import MARK, TRIES, Heard, Member, listening
from mongo.schema.proofs.probes import Maker
from mongo.schema.proofs.trial import Line, proof, tried
from mongo.sharding import default_write_concern

Judge = Callable[[Sequence[Heard]], str]

ASKED_FOR = "clientSupplied"  # a concern's provenance: not the cluster's default
WRITE, REPORT = "delete", "find"  # of a document that is not there: neither changes anything


@dataclass
class Hearing:
    """What members said of our commands, and why a command could not be sent."""

    heard: list[Heard] = field(default_factory=list)
    unsent: dict[str, str] = field(default_factory=dict)

    def of(self, entity: Entity, command: str) -> list[Heard]:
        """What was said of one command on one collection."""
        ending = f" {entity.name}"
        return [
            each for each in self.heard if each.command == command and each.comment.endswith(ending)
        ]


def proofs(
    context: Context, segment: str, entities: Sequence[Entity], clients: Clients, maker: Maker
) -> list[Proof]:
    """Two lines for each of these collections of the segment, all from one hearing."""
    hearing = Hearing()
    reason, _ = tried(lambda: _hear(context, segment, entities, clients, maker, hearing))
    return judged(entities, hearing, reason)


def judged(entities: Sequence[Entity], hearing: Hearing, silent: str = "") -> list[Proof]:
    """What the hearing proves; with a reason why nothing was heard, nothing."""
    found = []
    for entity in entities:
        for line, command, judge in _judges(entity):
            reason = silent or hearing.unsent.get(command, "")
            found.append(proof(entity.name, line, reason or judge(hearing.of(entity, command))))
    return found


def _judges(entity: Entity) -> tuple[tuple[str, str, Judge], ...]:
    declared = entity.guarantee
    return (
        (f"writes are acknowledged at {declared.text}", WRITE, partial(wrong_write, declared)),
        (f"reports read a {declared.reporting}", REPORT, wrong_report),
    )


def wrong_write(declared: Guarantee, heard: Sequence[Heard]) -> str:
    """How the concern that the members worked by is not the declared one. Pure."""
    for each in heard:
        concern = each.concern
        if concern.get("provenance") != ASKED_FOR:
            return f"{each.member} was asked for no write concern and took {_text(each)}"
        if concern.get("w") != declared.w or bool(concern.get("j")) != declared.journal:
            return f"{each.member} acknowledged at {_text(each)}"
    return "" if heard else "no member's log tells of the write"


def _text(heard: Heard) -> str:
    journal = ", j:true" if heard.concern.get("j") else ""
    return f"w:{heard.concern.get('w')}{journal}"


def wrong_report(heard: Sequence[Heard]) -> str:
    """Whether a primary answered. Pure."""
    primaries = [each.member for each in heard if each.primary]
    if primaries:
        return f"the primary {primaries[0]} answered"
    return "" if heard else "no member's log tells of the read"


# The hearing


def _hear(
    context: Context,
    segment: str,
    entities: Sequence[Entity],
    clients: Clients,
    maker: Maker,
    hearing: Hearing,
) -> str:
    """Speak until everything was heard, or was not sent, `TRIES` times at most."""
    run = f"{MARK} {maker.digits()}"
    with listening(context, _members(context, segment), segment) as members:
        for _ in range(TRIES):
            missing = [one for one in entities if not _complete(hearing, one)]
            if not missing:
                break
            _speak(missing, run, clients, maker, hearing)
            hearing.heard += _heard(members, run)
    return ""


def _complete(hearing: Hearing, entity: Entity) -> bool:
    return all(
        command in hearing.unsent or hearing.of(entity, command) for command in (WRITE, REPORT)
    )


def _speak(
    entities: Sequence[Entity], run: str, clients: Clients, maker: Maker, hearing: Hearing
) -> None:
    """As a service does, through what gives it its collections."""
    for entity in entities:
        comment, nobody = f"{run} {entity.name}", {"_id": maker.id()}
        writes = guarantees.collection(clients.application, entity)
        reports = guarantees.reporting(clients.application, entity)
        for command, send in (
            (WRITE, partial(writes.delete_one, nobody, comment=comment)),
            (REPORT, partial(reports.find_one, nobody, comment=comment)),
        ):
            if command not in hearing.unsent:
                reason, _ = tried(partial(_sent, send))
                hearing.unsent.update({command: reason} if reason else {})


def _sent(send: Callable[[], object]) -> str:
    send()
    return ""


def _heard(members: Sequence[Member], run: str) -> list[Heard]:
    return [each for one in members for each in one.heard() if each.comment.startswith(run)]


def _members(context: Context, segment: str) -> list[Node]:
    wanted = {shard.name for shard in context.topology.mongo.segments[segment]}
    sets = [one for one in nodes.shards(context) if one.name in wanted]
    return [node for one in sets for node in one.nodes]


# The cluster's default


def default_line(context: Context) -> Line:
    """What a write gets that asks for nothing, through whichever router."""
    wanted = context.topology.mongo.write_concern

    def trial() -> str:
        for router in nodes.routers(context):
            with router_client([router], login(context, ADMIN)) as client:
                found = default_write_concern(client, in_memory=True)
            if found != wanted:
                return f"{router.name} says w:{found}" if found else f"{router.name} says none"
        return ""

    return Line("", f"the cluster's default write concern is w:{wanted}", trial)
