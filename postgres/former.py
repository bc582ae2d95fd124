"""Members that are here still, and that the topology has no more, by their own patroni.yml."""

from dataclasses import replace

import yaml

from cluster.context import Context
from cluster.errors import OpsError
from cluster.former import configured
from cluster.inventory import Kind, Node
from cluster.topology import PostgresRole

PATRONI_YML = "patroni.yml"


def former(context: Context) -> tuple[Node, ...]:
    """Those members, in the order of their names. Raises OpsError where a file is damaged."""
    found = configured(context.layout, context.inventory, PATRONI_YML)
    return tuple(replace(parse(name, text), trust=context.trust) for name, text in found)


def parse(name: str, text: str) -> Node:
    """A member by its configuration file, which does not say where it stands. Pure.

    Whatever it was, it is asynchronous from now on: it is neither to lead nor to be waited for.
    Raises OpsError where the file says too little.
    """
    try:
        conf = yaml.safe_load(text)
        scope, at = str(conf["scope"]), str(conf["postgresql"]["connect_address"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise OpsError(
            f"{PATRONI_YML} of {name} does not say what {name} is", "put it right, or back"
        ) from error
    address = at.rpartition(":")[0]
    return Node(name, Kind.POSTGRES, scope, "", "", address, PostgresRole.ASYNCHRONOUS)
