"""What MongoDB's nodes are asked for monitoring, and what their answers come to.

Connections are kept: a scrape costs a command or three a node, and no log-in.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from cluster.metrics import Reader, Reading, values
from cluster.status import Health
from mongo import nodes
from mongo.backup import archive
from mongo.client import Client, as_ops_error, knock, open_client
from mongo.credentials import MONITOR, login
from mongo.servers import router_kind
from mongo.set_model import SERVING, State

SECONDS = 1.0
TERM, APPLIED = "term", "applied"  # no metrics: what those of a set are computed from
Document = Mapping[str, Any]


def readers(context: Context) -> tuple[Reader, ...]:
    """One a node, the archiver's too."""
    asked = [node for node in context.inventory.nodes if nodes.is_mongo(node)]
    return (
        *(_NodeReader(context, node) for node in asked),
        *(_ArchiverReader(context, node) for node in nodes.archivers(context)),
    )


class _NodeReader:
    """A mongod or a router, over one kept client."""

    def __init__(self, context: Context, node: Node) -> None:
        self._context, self.node = context, node
        self._client: Client | None = None

    def read(self) -> Sequence[Reading]:
        """Ask it. A closed port is known at once, where the driver would wait."""
        knock(self.node, SECONDS)
        if self._client is None:
            # An arbiter holds no users; `hello` answers anybody.
            user = None if self.node.kind is Kind.ARBITER else login(self._context, MONITOR)
            host = [nodes.host(self.node)]
            self._client = open_client(host, user, SECONDS, self.node.trust, directConnection=True)
        try:
            return self._ask(self._client)
        except PyMongoError as error:
            raise as_ops_error(self.node.name, error) from error

    def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()

    def _ask(self, client: Client) -> Sequence[Reading]:
        if self.node.kind is Kind.ROUTER:
            return of_router(self.node, router_kind(self._context).value, _shards(client))
        if self.node.kind is Kind.ARBITER:
            client.admin.command("hello")
            return of_arbiter(self.node)
        status = client.admin.command("replSetGetStatus")
        server = client.admin.command("serverStatus")
        oldest = client.local["oplog.rs"].find_one(sort=[("$natural", 1)], projection={"ts": 1})
        size = client.admin.command("listDatabases")["totalSize"]
        return of_member(self.node, status, server, oldest, float(size))


class _ArchiverReader:
    """What the archiver last said of itself, which is in a file."""

    def __init__(self, context: Context, node: Node) -> None:
        self._context, self.node = context, node

    def read(self) -> Sequence[Reading]:
        """Read it. Raises UnreachableError where it says nothing."""
        found = next(one for one in archive.status(self._context) if one.node == self.node)
        if found.health is Health.DOWN:
            raise UnreachableError(found.detail)
        labels = {"node": self.node.name}
        lag = [] if found.lag_seconds is None else [found.lag_seconds]
        return (
            Reading("mongo_archive_healthy", found.health is Health.OK, labels),
            *(Reading("mongo_archive_lag_seconds", seconds, labels) for seconds in lag),
        )

    def close(self) -> None:
        """Nothing is held."""


def _shards(client: Client) -> int:
    """How many a router knows; none where it answers, and what it says is no.

    One that was started with a foreign key does so: it cannot even look up who asks.
    """
    try:
        return len(client.admin.command("listShards")["shards"])
    except OperationFailure as error:
        if error.timeout:
            raise
        return 0


def of_router(node: Node, router: str, shards: int) -> tuple[Reading, ...]:
    """A router that answered."""
    return (
        Reading("mongo_router_info", 1, {"node": node.name, "router": router}),
        Reading("mongo_router_shards", shards, {"node": node.name}),
    )


def of_arbiter(node: Node) -> tuple[Reading, ...]:
    """An arbiter that answered."""
    labels = {"node": node.name, "set": node.group}
    return (Reading("mongo_member_state", State.ARBITER, labels),)


def of_member(
    node: Node, status: Document, server: Document, oldest: Document | None, size: float
) -> tuple[Reading, ...]:
    """A member, from replSetGetStatus, serverStatus, its oldest oplog entry, its bytes."""
    here, of_set = {"node": node.name}, {"node": node.name, "set": node.group}
    applied = status["optimes"]["appliedOpTime"]["ts"]
    elections = server.get("electionMetrics", {})
    reasons = [one for one in elections.values() if isinstance(one, Mapping)]
    called = sum(int(reason.get("called", 0)) for reason in reasons)
    window = [applied.time - oldest["ts"].time] if oldest else []
    return (
        Reading("mongo_member_state", status["myState"], of_set),
        Reading("mongo_elections_called", called, of_set),
        *(Reading("mongo_oplog_window_seconds", seconds, of_set) for seconds in window),
        Reading("mongo_connections", server["connections"]["current"], here),
        Reading("mongo_storage_bytes", size, of_set),
        *_latencies(node, server.get("opLatencies", {})),
        Reading(TERM, int(status["term"]), of_set),
        Reading(APPLIED, _seconds(status["optimes"].get("lastAppliedWallTime")), of_set),
    )


LATENCY_TYPES = {"reads": "read", "writes": "write", "commands": "command"}


def _latencies(node: Node, found: Document) -> Iterable[Reading]:
    """serverStatus counts microseconds."""
    for theirs, ours in LATENCY_TYPES.items():
        if theirs in found:
            labels = {"node": node.name, "type": ours}
            yield Reading("mongo_operations", int(found[theirs]["ops"]), labels)
            yield Reading("mongo_operation_seconds", found[theirs]["latency"] / 1e6, labels)


def _seconds(moment: datetime | None) -> float:
    return moment.replace(tzinfo=UTC).timestamp() if moment else 0.0


def of_sets(context: Context, readings: Sequence[Reading]) -> list[Reading]:
    """What only all members together tell: primaries, terms, lags. Pure but for the topology."""
    found = []
    for replica_set in nodes.replica_sets(context):
        found += of_set(replica_set.name, len(replica_set.nodes), readings)
    return found


def of_set(name: str, members: int, readings: Sequence[Reading]) -> list[Reading]:
    """One set, from what its members said. Pure."""
    states = {n: v for (n, s), v in values(readings, "mongo_member_state").items() if s == name}
    mine = [one for one in readings if one.labels.get("set") == name]
    terms = {one.labels["node"]: one.value for one in mine if one.metric == TERM}
    applied = {one.labels["node"]: one.value for one in mine if one.metric == APPLIED}
    newest = max(terms.values(), default=0.0)
    leaders = [n for n, v in states.items() if v == State.PRIMARY and terms.get(n) == newest]
    here = {"set": name}
    found = [
        Reading("mongo_primaries", len(leaders), here),
        Reading("mongo_members", members, here),
        Reading("mongo_members_serving", sum(v in SERVING for v in states.values()), here),
    ]
    if terms:
        found.append(Reading("mongo_term", newest, here))
    if len(leaders) == 1:
        found += [
            Reading(
                "mongo_replication_lag_seconds",
                # Members are asked at the same time, but not at the same instant.
                max(0.0, applied[leaders[0]] - applied[node]),
                {"node": node, **here},
            )
            for node, state in states.items()
            if state not in {State.PRIMARY, State.ARBITER} and node in applied
        ]
    return found
