"""How far the archive of the oplogs is, as the archiver says."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from cluster.status import Health, NodeStatus
from cluster.target import read
from mongo import nodes
from mongo.backup.archiver.config import STATE, SetState, State
from mongo.servers import archiver

ROLE = "oplog archiver"
LATE_SECONDS = 60.0  # a fifth of the RPO that TP3 §6 allows


def state(context: Context, node: Node) -> State | None:
    """What the archiver last said; None where it has said nothing yet."""
    try:
        found = read(context.target, node, context.layout.data(node) / STATE)
        return None if found is None else State.model_validate_json(found)
    except (OpsError, ValidationError):
        return None


def lag(states: Mapping[str, SetState], at: datetime) -> float:
    """Seconds since which everything is in the archive, of the set that is furthest behind."""
    return max(((at - one.covered).total_seconds() for one in states.values()), default=0.0)


def status(context: Context) -> tuple[NodeStatus, ...]:
    """The archiver, where there is one."""
    at = datetime.now(UTC)
    wanted = [one.name for one in nodes.replica_sets(context)]
    return tuple(_see(context, node, wanted, at) for node in nodes.archivers(context))


def _see(context: Context, node: Node, wanted: list[str], at: datetime) -> NodeStatus:
    try:
        running = context.target.state(archiver(context, node)).running
    except OpsError as error:
        return NodeStatus(node, Health.DOWN, "down", detail=error.message)
    if not running:
        return NodeStatus(node, Health.DOWN, "down", detail="its process does not run")
    return judged(node, state(context, node), wanted, at)


def judged(node: Node, said: State | None, wanted: list[str], at: datetime) -> NodeStatus:
    """A running archiver, by what it said."""
    silent = [name for name in wanted if said is None or name not in said.sets]
    if said is None or silent:
        detail = f"has not begun with {', '.join(silent)}"
        return NodeStatus(node, Health.DEGRADED, ROLE, detail=detail)
    behind = max(0.0, lag(said.sets, at))
    troubles = [
        f"{name}: {one.trouble or f'gap {one.gap}'}"
        for name, one in sorted(said.sets.items())
        if one.trouble or one.gap
    ]
    if not troubles and behind > LATE_SECONDS:
        troubles = [f"the archive ends {behind:.0f} s ago"]
    return NodeStatus(
        node,
        Health.DEGRADED if troubles else Health.OK,
        ROLE,
        lag_seconds=behind,
        epoch=f"history {said.history}",
        detail="; ".join(troubles) or f"{len(said.sets)} sets",
    )
