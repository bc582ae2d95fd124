"""Whom a fault hits: pure choices out of what was seen last."""

from cluster.context import Context
from cluster.drill.contracts import Seen
from cluster.errors import InconclusiveError
from cluster.inventory import Node
from cluster.server import Server
from postgres.scopes import Scope
from postgres.servers import servers


def leader(scope: Scope, seen: Seen) -> Node:
    """Who leads `scope` now. Raises InconclusiveError where not exactly one member does."""
    leaders = seen[scope.name].leaders if scope.name in seen else ()
    found = [node for node in scope.members if node.name in leaders]
    if len(found) != 1 or len(leaders) != 1:
        raise InconclusiveError(f"{len(leaders)} members of {scope.name} lead: there is no target")
    return found[0]


def servers_of(context: Context, *nodes: Node) -> tuple[Server, ...]:
    """Everything that runs on these nodes."""
    wanted = {node.name for node in nodes}
    return tuple(server for server in servers(context) if server.node.name in wanted)


def server_named(context: Context, name: str) -> Server:
    """One program of one node: `pg1` is Patroni with its PostgreSQL, `pg1-pgbouncer` the pool."""
    return next(server for server in servers(context) if server.name == name)
