"""Nodes that are here still, and that the topology has no more.

Their own configuration files say what they are. What was written down elsewhere could be edited
away, and a member that nobody knows of would go on running.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from cluster.clock import Clock, wait_for
from cluster.context import Context
from cluster.errors import RefusedError, UnreachableError
from cluster.inventory import Inventory, Node
from cluster.layout import Layout

C = TypeVar("C", bound=Context)
PATIENT_SECONDS = 15.0  # an election, or Patroni's next round
GONE = ".gone"  # behind the name of a node's folder that is being removed; no node's name has a dot


def configured(layout: Layout, inventory: Inventory, file: str) -> tuple[tuple[str, str], ...]:
    """Nodes that the inventory lacks and that have a configuration file of this name: their names,
    each with the file's text.
    """
    kept = {node.name for node in inventory.nodes}
    return tuple(
        (name, path.read_text("utf-8"))
        for path in sorted(layout.root.glob(f"nodes/*/conf/{file}"))
        if (name := path.parent.parent.name) not in kept and not name.endswith(GONE)
    )


def joined(context: C, nodes: Iterable[Node]) -> C:
    """The context with these nodes beside the topology's: the cluster as it runs."""
    inventory = replace(context.inventory, nodes=(*context.inventory.nodes, *nodes))
    return replace(context, inventory=inventory)


def patiently(allowed: Callable[[], bool], clock: Clock, hint: str) -> None:
    """Wait a while until it is allowed that a node leaves.

    Raises RefusedError with the reason that `allowed` raised last, as an UnreachableError.
    """
    reason = ""

    def probe() -> bool:
        nonlocal reason
        try:
            return allowed()
        except UnreachableError as error:
            reason = error.message
            raise

    try:
        wait_for("leave", probe, seconds=PATIENT_SECONDS, every=0.5, clock=clock)
    except UnreachableError as error:
        raise RefusedError(reason, hint) from error
