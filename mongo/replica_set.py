"""The one next move from what a replica set is to what it should be.

Pure: `decide` turns what the members said into a move. The rule above all others: a set is
initiated only when every member has said that it holds no configuration. A member that does not
answer may hold one, and a second set beside an existing one loses data (bitnami/charts#13821).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mongo.set_model import (
    JOURNALED,
    SERVING,
    Answer,
    Document,
    Member,
    SetConfig,
    State,
    Timings,
    Wanted,
)


@dataclass(frozen=True)
class Nothing:
    """The set is as it should be."""

    why: str


@dataclass(frozen=True)
class Initiate:
    """No member holds a configuration: make the set from this host."""

    host: str
    why: str


@dataclass(frozen=True)
class StepUp:
    """There is no primary: have this host ask for an election now, not after its timeout."""

    host: str
    why: str


@dataclass(frozen=True)
class Reconfigure:
    """Have the primary at this host take `config` with these `changes`."""

    host: str
    config: SetConfig
    changes: Mapping[str, object]
    why: str


@dataclass(frozen=True)
class Wait:
    """The next move is the servers' own; `led`: the set has its primary and all its members."""

    why: str
    led: bool = False


@dataclass(frozen=True)
class Refuse:
    """Going on could lose data, or undo what somebody did by hand."""

    why: str
    hint: str


Action = Initiate | StepUp | Reconfigure
Move = Nothing | Wait | Refuse | Action


def decide(wanted: Wanted, answers: Sequence[Answer]) -> Move:
    """The next move, from what every wanted member answered."""
    configured = [answer for answer in answers if answer.config]
    silent = [answer for answer in answers if answer.silent]
    if not configured:
        if silent:
            return Wait(f"{_silence(silent)}; it may hold the set's configuration")
        return Initiate(wanted.members[0].host, "no member holds a configuration")
    config = max((a.config for a in configured if a.config), key=lambda c: (c.term, c.version))
    refusal = _refusal(wanted, config, configured)
    if refusal:
        return refusal
    primaries = [answer for answer in answers if answer.state is State.PRIMARY]
    if not primaries:
        return _without_primary(config, answers)
    if len(primaries) > 1:
        return Wait(f"{_names(primaries)} both say that they are primary")
    return _with_primary(wanted, primaries[0], answers)


def _refusal(wanted: Wanted, config: SetConfig, configured: Sequence[Answer]) -> Refuse | None:
    by_set: dict[str, list[str]] = {}
    for answer in configured:
        if answer.config:
            by_set.setdefault(answer.config.set_id, []).append(answer.host)
    if len(by_set) > 1:
        groups = " and ".join(", ".join(hosts) for hosts in by_set.values())
        return Refuse(
            f"{wanted.name}: two replica sets have been initiated, by {groups}",
            "decide which holds the data, and empty the data folders of the other's members",
        )
    if config.name != wanted.name:
        return Refuse(
            f"{wanted.name}: its members belong to a set named {config.name}",
            "a replica set cannot be renamed: give the shard its old name back",
        )
    strangers = sorted(set(config.hosts) - {member.host for member in wanted.members})
    if strangers:
        return Refuse(
            f"{wanted.name}: has members that the topology does not name: {', '.join(strangers)}",
            "add them to the topology file, or take them out: `skillswap-ops mongo member remove`; "
            "rs.remove() on the primary where their folders are gone",
        )
    return None


def _without_primary(config: SetConfig, answers: Sequence[Answer]) -> Move:
    votes = {member.host: member.votes for member in config.members}
    heard = sum(votes.get(answer.host, 0) for answer in answers if not answer.silent)
    total = sum(votes.values())
    if heard * 2 <= total:
        return Wait(f"no primary, and only {heard} of {total} votes answer")
    electable = {member.host for member in config.members if member.electable}
    ready = [
        answer for answer in answers if answer.state is State.SECONDARY and answer.host in electable
    ]
    if not ready:
        return Wait("no primary, and no member is ready to become one")
    best = max(ready, key=lambda answer: answer.applied)  # the first of equals
    return StepUp(best.host, "no primary")


def _with_primary(wanted: Wanted, primary: Answer, answers: Sequence[Answer]) -> Move:
    assert primary.config is not None  # noqa: S101 - a primary holds a configuration
    changes = _settings_drift(wanted, primary.config)
    if changes:
        return Reconfigure(primary.host, primary.config, changes, _describe(changes))
    missing = [member for member in wanted.members if member.host not in primary.config.hosts]
    silent = [answer for answer in answers if answer.silent]
    for member in missing:
        if member.host not in {answer.host for answer in silent}:
            added = {"members": _with_member(primary.config, member)}
            return Reconfigure(
                primary.host, primary.config, added, f"{member.host} is not a member"
            )
    if silent:
        led = {member.host for member in wanted.members} == set(primary.config.hosts)
        return Wait(_silence(silent), led=led)
    unready = [answer for answer in answers if answer.state not in SERVING]
    if unready:
        states = ", ".join(f"{answer.host} is {answer.state.name}" for answer in unready)
        return Wait(states, led=True)
    return Nothing(
        f"primary {primary.host} in term {primary.term}, all {len(answers)} members healthy"
    )


def _settings_drift(wanted: Wanted, config: SetConfig) -> dict[str, object]:
    """The top-level fields of the configuration that must change, with their new values.

    One member at a time: a server takes one change of votes in one reconfiguration.
    """
    changes: dict[str, object] = {}
    if config.timings != wanted.timings:
        changes["settings"] = {**config.document.get("settings", {}), **_settings(wanted.timings)}
    if not config.journaled:
        changes[JOURNALED] = True
    by_host = {member.host: member for member in wanted.members}
    strayed = next((member for member in config.members if member != by_host[member.host]), None)
    if strayed:
        changes["members"] = [
            {**document, **_member_fields(by_host[strayed.host])}
            if document["host"] == strayed.host
            else document
            for document in config.document["members"]
        ]
    return changes


def _with_member(config: SetConfig, member: Member) -> list[Document]:
    """One more member."""
    documents = list(config.document["members"])
    number = max(document["_id"] for document in documents) + 1
    return [*documents, _member_document(number, member)]


def initial_document(wanted: Wanted) -> dict[str, object]:
    """What replSetInitiate takes."""
    document: dict[str, object] = {
        "_id": wanted.name,
        "version": 1,
        "members": [_member_document(n, member) for n, member in enumerate(wanted.members)],
        "settings": _settings(wanted.timings),
    }
    return {**document, "configsvr": True} if wanted.holds_config else document


def next_document(move: Reconfigure) -> dict[str, object]:
    """What replSetReconfig takes: fields that we do not know are left as they are."""
    return {**move.config.document, **move.changes, "version": move.config.version + 1}


def _member_document(number: int, member: Member) -> Document:
    return {"_id": number, "host": member.host, **_member_fields(member)}


def _member_fields(member: Member) -> dict[str, object]:
    return {
        "arbiterOnly": member.arbiter,
        "tags": dict(member.tags),
        "priority": member.priority,
        "votes": member.votes,
        "hidden": member.hidden,
    }


def _settings(timings: Timings) -> dict[str, int]:
    return {
        "electionTimeoutMillis": timings.election_timeout,
        "heartbeatIntervalMillis": timings.heartbeat_interval,
        "heartbeatTimeoutSecs": timings.heartbeat_timeout,
    }


def _describe(changes: Mapping[str, object]) -> str:
    return f"not as the topology has it: {', '.join(changes)}"


def _names(answers: Sequence[Answer]) -> str:
    return " and ".join(answer.host for answer in answers)


def _silence(answers: Sequence[Answer]) -> str:
    others = f", and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{answers[0].silent}{others}"
