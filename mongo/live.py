"""What a live cluster's settings really are, for drills to rest on and to predict from."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pymongo

from cluster.context import Context
from cluster.errors import InconclusiveError, OpsError, UnreachableError
from mongo import members, nodes
from mongo.client import ask_all, node_client, set_client
from mongo.credentials import internal
from mongo.nodes import SetNodes
from mongo.replica_set import Nothing, decide
from mongo.servers import router_kind
from mongo.set_model import JOURNALED, Answer, SetConfig, State
from mongo.sharding import default_write_concern

LEVEL_SECONDS = 2  # oplog times are whole seconds, and members are not asked at the same moment
OFFSET_PARAMETER = "replElectionTimeoutOffsetLimitFraction"


@dataclass(frozen=True)
class LiveTimings:
    """A set's effective timings, in seconds; `offset` is the election timeout's random part.

    Every member waits for the election timeout plus a random part of `offset` of it (0.15 by the
    server's default) before it stands for election. A member that does not answer heartbeats is
    given up after `heartbeat_timeout` (10 by the server's default).
    """

    election_timeout: float
    heartbeat_interval: float
    offset: float
    heartbeat_timeout: float = 10.0


def config_of(context: Context, replica_set: SetNodes) -> SetConfig:
    """The newest configuration that any member holds.

    Raises InconclusiveError where no member can say.
    """
    found = [answer.config for answer in members.observe(context, replica_set) if answer.config]
    if not found:
        raise InconclusiveError(f"no member of {replica_set.name} can say how it is configured")
    return max(found, key=lambda config: (config.term, config.version))


def live_timings(context: Context, replica_set: SetNodes) -> LiveTimings:
    """The timings that the set runs with. Raises InconclusiveError where no member answers."""
    config = config_of(context, replica_set)
    return LiveTimings(
        config.timings.election_timeout / 1000,
        config.timings.heartbeat_interval / 1000,
        _offset(context, replica_set),
        float(config.timings.heartbeat_timeout),
    )


def _offset(context: Context, replica_set: SetNodes) -> float:
    """The parameter of any member that answers: members are started alike."""
    for node in replica_set.nodes:
        with suppress(UnreachableError), node_client(node, internal(context)) as client:
            answer = client.admin.command({"getParameter": 1, OFFSET_PARAMETER: 1})
            return float(answer[OFFSET_PARAMETER])
    raise InconclusiveError(f"no member of {replica_set.name} answers")


def shortcoming(context: Context, replica_set: SetNodes) -> str:
    """What keeps the set from being as the topology wants it; "" for nothing."""
    wanted = members.wanted(context, replica_set)
    move = decide(wanted, members.observe(context, replica_set))
    return "" if isinstance(move, Nothing) else f"{replica_set.name}: {move.why}"


def shortcomings(context: Context) -> list[str]:
    """What keeps any set from being as it should be."""
    found = ask_all(nodes.replica_sets(context), partial(shortcoming, context))
    return [what for what in found if what]


def behind(context: Context, replica_set: SetNodes) -> str:
    """Which member has yet to copy, or to take back, what another has; "" where all are level.

    A member that was cut off serves again at once, and finds only then that its history is another.
    """
    found = laggard(members.observe(context, replica_set))
    return f"{replica_set.name}: {found}" if found else ""


def laggard(answers: Sequence[Answer]) -> str:
    """Why the members are not level, from what they said; "" if they are."""
    holding = [answer for answer in answers if answer.state is not State.ARBITER]
    newest = max((answer.applied[0] for answer in holding), default=0)
    for answer in holding:
        if answer.silent:
            return answer.silent
        seconds = newest - answer.applied[0]
        if seconds > LEVEL_SECONDS:
            return f"{answer.host} is {seconds} s behind"
    return ""


def missing(context: Context) -> str | None:
    """What a cluster is not yet that is whole again; None for nothing."""
    found = shortcomings(context) or ask_all(nodes.replica_sets(context), partial(behind, context))
    return next(filter(None, found), None)


def live_default(context: Context) -> str:
    """`w` of the cluster-wide default write concern; "implicit" where nobody has set one."""
    with set_client(nodes.config_servers(context), internal(context)) as client:
        return str(default_write_concern(client) or "implicit")


def set_settings(context: Context, replica_set: SetNodes) -> dict[str, str]:
    """The set's settings that a promise rests on, none of which a failover changes."""
    config = config_of(context, replica_set)
    voters = [member for member in config.members if member.votes]
    name = replica_set.name
    return {
        f"{name} electionTimeoutMillis": str(config.timings.election_timeout),
        f"{name} heartbeatIntervalMillis": str(config.timings.heartbeat_interval),
        f"{name} heartbeatTimeoutSecs": str(config.timings.heartbeat_timeout),
        f"{name} members": ", ".join(config.hosts),
        f"{name} votes": str(len(voters)),
        f"{name} {JOURNALED}": str(config.journaled).lower(),
    }


def versions(context: Context) -> dict[str, str]:
    """What runs: the members' server version, and which router."""
    found = set()
    for replica_set in nodes.replica_sets(context):
        for node in replica_set.nodes:
            try:
                with node_client(node, internal(context)) as client:
                    found.add(str(client.server_info()["version"]))
            except OpsError:
                continue
    return {
        "mongod": ", ".join(sorted(found)) or "unknown",
        "router": router_kind(context).value,
        "driver": f"pymongo {pymongo.version}",
    }
