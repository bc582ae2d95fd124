"""replSetStepDown: a primary hands over to a secondary that is level with it."""

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from mongo.client import node_client
from mongo.credentials import ADMIN, login

STEP_DOWN_SECONDS = 60  # the server's default: so long the member stands for no election
CATCH_UP_SECONDS = 10  # the server's default: so long it waits for a secondary to be level with it


def step_down(context: Context, node: Node, seconds: int = STEP_DOWN_SECONDS) -> float:
    """Step this primary down, and ask it; when that was, in monotonic seconds.

    For `seconds` it stands for no election. Raises OpsError where no secondary could take over.
    """
    user, catch_up = login(context, ADMIN), min(CATCH_UP_SECONDS, seconds)
    with node_client(node, user, seconds=catch_up + 5) as client:
        client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=catch_up)
        at = context.clock.monotonic()
        hello = client.admin.command("hello")
    if hello["isWritablePrimary"]:
        raise OpsError(f"{node.name} is primary still, or again")
    return at
