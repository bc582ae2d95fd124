"""Members that are here still, and that the topology has no more, by their own mongod.conf."""

from dataclasses import replace

import yaml

from cluster.context import Context
from cluster.errors import OpsError
from cluster.former import configured
from cluster.inventory import Kind, Node
from cluster.server import Server
from mongo.nodes import SetNodes
from mongo.servers import DATA_STOP_SECONDS, MONGOD_CONF


def former(context: Context) -> tuple[Node, ...]:
    """Those members, in the order of their names. Raises OpsError where a file is damaged."""
    found = configured(context.layout, context.inventory, MONGOD_CONF)
    return tuple(replace(parse(name, text), trust=context.trust) for name, text in found)


def parse(name: str, text: str) -> Node:
    """A member by its configuration file, which does not say where it stands. Pure.

    Raises OpsError where the file says too little.
    """
    try:
        conf = yaml.safe_load(text)
        group, address = conf["replication"]["replSetName"], conf["net"]["bindIp"]
        role = conf["sharding"]["clusterRole"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise OpsError(
            f"{MONGOD_CONF} of {name} does not say what {name} is", "put it right, or back"
        ) from error
    kind = Kind.ARBITER if name == f"{group}-arbiter" else Kind.SHARD
    return Node(name, Kind.CONFIG if role == "configsvr" else kind, group, "", "", address)


def blank(node: Node) -> Server:
    """A member that is only to be stopped and removed."""
    component = SetNodes(node.group, ()).component
    return Server(node.name, node, component, ("false",), stop_seconds=DATA_STOP_SECONDS)
