"""MongoDB's configuration as it is in force, as texts for a drill's evidence."""

from collections.abc import Callable, Mapping
from functools import partial

from bson import json_util

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from mongo import nodes
from mongo.client import Document, ask_all, node_client, set_client
from mongo.credentials import internal
from mongo.nodes import SetNodes
from mongo.servers import MONGOS_CONF, ROUTER_CONF

# In every answer, and another in each: no configuration.
GOSSIP = frozenset(
    {
        "$clusterTime",
        "$configServerState",
        "$gleStats",
        "$topologyTime",
        "lastCommittedOpTime",
        "localUpdateTime",
        "ok",
        "operationTime",
    }
)
Texts = dict[str, str]


def configuration(context: Context) -> Mapping[str, str]:
    """Texts by file name: each set, each member, the cluster's defaults, each router's file.

    A member that does not answer is said to be so in its text.
    """
    sets = nodes.replica_sets(context)
    members = [node for replica_set in sets for node in replica_set.nodes]
    asked: list[Callable[[], Texts]] = [
        *(partial(_set, context, replica_set) for replica_set in sets),
        *(partial(_member, context, node) for node in members if node.kind is not Kind.ARBITER),
        partial(_defaults, context),
    ]
    found: Texts = {}
    for texts in ask_all(asked, lambda ask: ask()):
        found |= texts
    for router in nodes.routers(context):
        found |= _router(context, router)
    return found


def _set(context: Context, replica_set: SetNodes) -> Texts:
    name = f"{replica_set.name}/replSetGetConfig.json"
    try:
        with set_client(replica_set, internal(context)) as client:
            return {name: as_text(client.admin.command("replSetGetConfig"))}
    except OpsError as error:
        return {name: _not_read(error)}


def _member(context: Context, node: Node) -> Texts:
    options, parameters = f"{node.name}/getCmdLineOpts.json", f"{node.name}/getParameter.json"
    try:
        with node_client(node, internal(context)) as client:
            return {
                options: as_text(client.admin.command("getCmdLineOpts")),
                parameters: as_text(client.admin.command({"getParameter": "*"})),
            }
    except OpsError as error:
        return {options: _not_read(error)}


def _defaults(context: Context) -> Texts:
    name = "getDefaultRWConcern.json"
    try:
        with set_client(nodes.config_servers(context), internal(context)) as client:
            return {name: as_text(client.admin.command("getDefaultRWConcern"))}
    except OpsError as error:
        return {name: _not_read(error)}


def _router(context: Context, node: Node) -> Texts:
    """The file that it was started with; the segment router has no command that tells."""
    files = [context.layout.conf(node) / name for name in (MONGOS_CONF, ROUTER_CONF)]
    return {f"{node.name}/{file.name}": file.read_text("utf-8") for file in files if file.is_file()}


def as_text(answer: Document) -> str:
    """A server's answer as JSON, sorted, without what differs from one answer to the next."""
    kept = {key: value for key, value in answer.items() if key not in GOSSIP}
    options = json_util.RELAXED_JSON_OPTIONS
    return str(json_util.dumps(kept, indent=1, sort_keys=True, json_options=options))


def _not_read(error: OpsError) -> str:
    return f"not read: {error.message}"
