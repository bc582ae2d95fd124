"""What `status` shows of a node, whatever its engine."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.inventory import Node


class Health(StrEnum):
    """How a node is."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True)
class NodeStatus:
    """A node as it was seen. `lag_seconds` is behind its source; `epoch` is a term or timeline."""

    node: Node
    health: Health
    role: str
    lag_seconds: float | None = None
    epoch: str = ""
    detail: str = ""
