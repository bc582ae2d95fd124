"""Takes a member that the topology has no more out of its replica set.

`context` is of the cluster as it runs (`cluster.former.joined`): the member is in its inventory.
"""

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.former import patiently
from cluster.inventory import Node
from mongo import members, nodes, spare, upkeep
from mongo.nodes import SetNodes, host
from mongo.parting import HandOver, next_move
from mongo.replica_set import Nothing, Reconfigure
from mongo.upkeep import STATUS_HINT, SteppedDown

OUT_SECONDS = 120.0


def await_allowed(context: Context, replica_set: SetNodes, node: Node) -> None:
    """Until a member may leave, for as long as others may need to settle after a run that was
    killed. Raises RefusedError that says why it may not.
    """

    def allowed() -> bool:
        answers = members.observe(context, replica_set)
        if reason := spare.cannot_leave(answers, host(node), nodes.names(context)):
            raise UnreachableError(reason)
        return True

    patiently(allowed, context.clock, STATUS_HINT)


def take_out(context: Context, replica_set: SetNodes, node: Node) -> SteppedDown | None:
    """Reconfigure the set without a member; how it gave up its lead, where it led.

    Killed anywhere, the same again goes on. When it returns a majority of those that stay holds the
    new configuration, so that the member's data is nobody's any more. Raises UnreachableError where
    it is not done in time.
    """
    names, handed = nodes.names(context), None

    def out() -> bool:
        nonlocal handed
        move = next_move(members.observe(context, replica_set), host(node), names)
        match move:
            case Nothing():
                return True
            case HandOver():
                handed = upkeep.hand_over(context, replica_set)
            case Reconfigure():
                members.make(context, replica_set, move)
        raise UnreachableError(move.why, STATUS_HINT)

    what = f"{replica_set.name} without {node.name}"
    wait_for(what, out, seconds=OUT_SECONDS, every=0.1, clock=context.clock)
    return handed
