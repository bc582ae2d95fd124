"""What is said to members that are all about to stop: none need wait for its clients to go on.

A mongod that is told to end serves on for 15 s, so that clients find another member meanwhile
(shutdownTimeoutMillisForSignaledShutdown). Where all members go there is none to be found.
"""

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from mongo import nodes
from mongo.client import ask_all, node_client
from mongo.credentials import internal

MILLISECONDS = 100
ANSWER_SECONDS = 2.0


def hurry(context: Context) -> None:
    """Until its next start each member ends at once. Best effort: a silent one takes its time."""
    members = [node for one in nodes.replica_sets(context) for node in one.data_bearing]

    def say(node: Node) -> None:
        try:
            with node_client(node, internal(context), seconds=ANSWER_SECONDS) as client:
                client.admin.command(
                    "setParameter", 1, shutdownTimeoutMillisForSignaledShutdown=MILLISECONDS
                )
        except OpsError:
            return

    ask_all(members, say)
