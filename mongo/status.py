"""What each of MongoDB's nodes is now; works while half of them are down.

The monitoring user asks, the least user that may. An arbiter holds no users, and a set that is
not initiated has none yet: those are known by what `hello` says to anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from pymongo.errors import OperationFailure

from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Kind, Node
from cluster.status import Health, NodeStatus
from mongo import nodes
from mongo.backup import archive
from mongo.client import ask_all, error_text, node_client
from mongo.credentials import MONITOR, login
from mongo.servers import router_kind
from mongo.set_model import SERVING, State

SECONDS = 1.0
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """What one node said; `at` is when its newest operation was applied."""

    status: NodeStatus
    at: datetime | None = None


def status(context: Context, seconds: float = SECONDS) -> tuple[NodeStatus, ...]:
    """Every node, all asked at once; none takes longer than about `seconds`."""
    every = [node for node in context.inventory.nodes if nodes.is_mongo(node)]
    return (*with_lag(ask_all(every, partial(_see, context, seconds))), *archive.status(context))


def with_lag(seen: list[Seen]) -> tuple[NodeStatus, ...]:
    """The statuses, each secondary's lag behind its set's primary added, in seconds."""
    primaries = {
        one.status.node.group: one.at for one in seen if one.status.role == State.PRIMARY.name
    }
    return tuple(_lagging(one, primaries.get(one.status.node.group)) for one in seen)


def _lagging(one: Seen, primary_at: datetime | None) -> NodeStatus:
    if one.status.role != State.SECONDARY.name or one.at is None or primary_at is None:
        return one.status
    # Members are asked at the same time, but not at the same instant.
    return replace(one.status, lag_seconds=max(0.0, (primary_at - one.at).total_seconds()))


def _see(context: Context, seconds: float, node: Node) -> Seen:
    try:
        if node.kind is Kind.ROUTER:
            return Seen(_see_router(context, node, seconds))
        if node.kind is Kind.ARBITER:
            return Seen(_see_anonymously(node, seconds))
        return _see_member(context, node, seconds)
    except UnreachableError as error:
        return Seen(NodeStatus(node, Health.DOWN, "down", detail=error.message))
    except OpsError as error:
        return Seen(NodeStatus(node, Health.DEGRADED, "unknown", detail=error.message))


def _see_router(context: Context, node: Node, seconds: float) -> NodeStatus:
    kind = router_kind(context).value
    with node_client(node, login(context, MONITOR), seconds=seconds) as client:
        try:
            shards = client.admin.command("listShards")["shards"]
        except OperationFailure as error:
            return NodeStatus(node, Health.DEGRADED, kind, detail=error_text(error))
    return NodeStatus(node, Health.OK, kind, detail=f"{len(shards)} shards")


def _see_member(context: Context, node: Node, seconds: float) -> Seen:
    try:
        with node_client(node, login(context, MONITOR), seconds=seconds) as client:
            answer = client.admin.command("replSetGetStatus")
            return parse_member(node, answer, nodes.names(context))
    except UnreachableError:
        raise
    except OpsError as error:
        anonymous = _see_anonymously(node, seconds)
        return Seen(replace(anonymous, health=Health.DEGRADED, detail=error.message))


def parse_member(node: Node, answer: Document, names: Mapping[str, str]) -> Seen:
    """A member's own answer to replSetGetStatus; `names` are the nodes' by host."""
    state = State(answer["myState"])
    source = next((m.get("syncSourceHost", "") for m in answer["members"] if m.get("self")), "")
    health = Health.OK if state in SERVING else Health.DEGRADED
    lost = [names.get(m["name"], m["name"]) for m in answer["members"] if not m.get("health", 1)]
    return Seen(
        NodeStatus(
            node,
            health,
            state.name,
            epoch=f"term {answer['term']}",
            detail=_detail(state, names.get(source, source), lost),
        ),
        answer.get("optimes", {}).get("lastAppliedWallTime"),
    )


def _detail(state: State, source: str, lost: list[str]) -> str:
    parts = [f"from {source}"] if source and state is State.SECONDARY else []
    parts += [f"sees {', '.join(lost)} down"] if lost else []
    return "; ".join(parts)


def _see_anonymously(node: Node, seconds: float) -> NodeStatus:
    with node_client(node, None, seconds=seconds) as client:
        return parse_hello(node, client.admin.command("hello"))


def parse_hello(node: Node, hello: Document) -> NodeStatus:
    """What `hello` says of a member to anybody."""
    roles = {
        "isWritablePrimary": State.PRIMARY,
        "secondary": State.SECONDARY,
        "arbiterOnly": State.ARBITER,
    }
    if "setName" not in hello:
        return NodeStatus(node, Health.DEGRADED, "not initiated")
    role = next((state for field, state in roles.items() if hello.get(field)), State.UNKNOWN)
    health = Health.OK if role in SERVING else Health.DEGRADED
    return NodeStatus(node, health, role.name)
