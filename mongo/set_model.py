"""What a replica set is: its members, its configuration, and what a member says of it.

Pure: `parse_*` turn a member's answers into values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Any

Document = Mapping[str, Any]


class State(IntEnum):
    """A member's state, by the numbers of replSetGetStatus."""

    STARTUP = 0
    PRIMARY = 1
    SECONDARY = 2
    RECOVERING = 3
    STARTUP2 = 5
    UNKNOWN = 6
    ARBITER = 7
    DOWN = 8
    ROLLBACK = 9
    REMOVED = 10


JOURNALED = "writeConcernMajorityJournalDefault"
SERVING = {State.PRIMARY, State.SECONDARY, State.ARBITER}


@dataclass(frozen=True)
class Member:
    """A member as a configuration lists it. Tags are pairs, sorted."""

    host: str
    arbiter: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    priority: float = 1
    votes: int = 1
    hidden: bool = False

    @property
    def electable(self) -> bool:
        """Whether it may become primary."""
        return not self.arbiter and self.priority > 0


@dataclass(frozen=True)
class Timings:
    """A set's timings, in the server's own units: milliseconds, the heartbeats' timeout seconds.

    A new primary takes no write before every member has told it how far it is, or is given up. A
    member that is frozen is given up after the heartbeats' timeout alone; by the server's default
    of 10 s, an election over a frozen primary that was won after 5.5 s was of use after 11.4 s.
    """

    election_timeout: int
    heartbeat_interval: int
    heartbeat_timeout: int


@dataclass(frozen=True)
class SetConfig:
    """A configuration. `document` is what it was parsed from, to be changed and sent back.

    `journaled`: a majority write is on the majority's disks when it is acknowledged.
    """

    name: str
    set_id: str
    version: int
    term: int
    members: tuple[Member, ...]
    timings: Timings
    journaled: bool = True
    document: Document = field(default_factory=dict, compare=False, repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The members' hosts."""
        return tuple(member.host for member in self.members)


@dataclass(frozen=True)
class Answer:
    """What one member said, or `silent`: why it said nothing. `config` None: it holds none."""

    host: str
    config: SetConfig | None = None
    state: State = State.UNKNOWN
    term: int = -1
    applied: tuple[int, int] = (0, 0)
    applied_at: datetime | None = None
    silent: str = ""


@dataclass(frozen=True)
class Wanted:
    """A replica set as the topology wants it."""

    name: str
    members: tuple[Member, ...]
    timings: Timings
    holds_config: bool = False


def single_point_of_failure(config: SetConfig) -> str:
    """Why losing any one data-bearing member would stop majority writes; "" if it would not.

    A majority write needs a majority of all votes, or all data-bearing voters where those are
    fewer: an arbiter votes, but holds no data.
    """
    voters = [member for member in config.members if member.votes]
    data_bearing = sum(not member.arbiter for member in voters)
    majority = len(voters) // 2 + 1
    if len(voters) - 1 < majority:
        return f"{config.name} has {len(voters)} votes: no majority is left without one of them"
    if data_bearing - 1 < min(majority, data_bearing):
        return f"{config.name} has {data_bearing} data-bearing votes: a majority write needs all"
    if sum(member.electable for member in config.members) < 2:
        return f"{config.name} has no second member that may become primary"
    return ""


def parse_config(document: Document) -> SetConfig:
    """The `config` of replSetGetConfig's answer."""
    settings = document["settings"]
    return SetConfig(
        name=document["_id"],
        set_id=str(settings.get("replicaSetId", "")),
        version=int(document["version"]),
        term=int(document.get("term", -1)),
        members=tuple(_parse_member(member) for member in document["members"]),
        timings=Timings(
            settings["electionTimeoutMillis"],
            settings["heartbeatIntervalMillis"],
            settings["heartbeatTimeoutSecs"],
        ),
        journaled=bool(document.get(JOURNALED, True)),
        document=document,
    )


def parse_status(host: str, config: SetConfig, status: Document) -> Answer:
    """A member's answer to replSetGetStatus, beside the configuration that it holds."""
    optimes = status.get("optimes", {})
    applied = optimes.get("appliedOpTime", {}).get("ts")
    return Answer(
        host=host,
        config=config,
        state=State(status["myState"]),
        term=int(status.get("term", -1)),
        applied=(applied.time, applied.inc) if applied else (0, 0),
        applied_at=optimes.get("lastAppliedWallTime"),
    )


def removed(host: str, config: SetConfig) -> Answer:
    """A member whose configuration does not name it (any more)."""
    return replace(Answer(host, config), state=State.REMOVED)


def _parse_member(document: Document) -> Member:
    return Member(
        host=document["host"],
        arbiter=bool(document.get("arbiterOnly", False)),
        tags=tuple(sorted(document.get("tags", {}).items())),
        priority=float(document.get("priority", 1)),
        votes=int(document.get("votes", 1)),
        hidden=bool(document.get("hidden", False)),
    )
