"""All members stopped together, without the waits that are for one that leaves while others stay.

A mongod that is told to end serves on for 15 s, so that clients find another member meanwhile
(shutdownTimeoutMillisForSignaledShutdown): where all go there is none to be found. And a shard's
member takes leave of the config servers, for 15 s where those are gone before it.
"""

from collections.abc import Sequence

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from cluster.server import Server
from mongo import nodes
from mongo.client import ask_all, node_client
from mongo.credentials import internal
from mongo.servers import router

MILLISECONDS = 100
ANSWER_SECONDS = 2.0


def stop_members(context: Context, members: Sequence[Server]) -> None:
    """Stop these members, which are all: the config servers' last."""
    hurry(context)
    config = [server for server in members if server.node.kind is Kind.CONFIG]
    ask_all([server for server in members if server not in config], context.target.stop)
    ask_all(config, context.target.stop)


def stop_routers(context: Context) -> None:
    """No application reaches MongoDB from here on, until they are started again."""
    ask_all([router(context, node) for node in nodes.routers(context)], context.target.stop)


def hurry(context: Context) -> None:
    """Until its next start each member ends at once. Best effort: a silent one takes its time."""
    members = [node for one in nodes.replica_sets(context) for node in one.data_bearing]
    ask_all(members, lambda node: hurry_one(context, node))


def hurry_one(context: Context, node: Node) -> None:
    """The same of one member: no client finds another one by it."""
    try:
        with node_client(node, internal(context), seconds=ANSWER_SECONDS) as client:
            client.admin.command(
                "setParameter", 1, shutdownTimeoutMillisForSignaledShutdown=MILLISECONDS
            )
    except OpsError:
        return
