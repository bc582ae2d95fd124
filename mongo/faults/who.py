"""Who is hit: from what the observers see to the servers that a fault takes."""

from collections.abc import Iterable

from cluster.context import Context
from cluster.drill.contracts import Seen
from cluster.errors import InconclusiveError
from cluster.inventory import Kind
from cluster.server import Server
from mongo.nodes import SetNodes
from mongo.servers import servers


def primary_of(group: str, seen: Seen) -> str:
    """The node that leads `group` now. Raises InconclusiveError where not exactly one does."""
    leaders = seen[group].leaders if group in seen else ()
    if len(leaders) != 1:
        raise InconclusiveError(f"{group} has {len(leaders)} primaries: there is no one to hit")
    return leaders[0]


def written_to_primary(group: str, seen: Seen, member: str) -> str:
    """The node that leads `group`, which must be `member`: the one that a stream writes to.

    Raises InconclusiveError where another leads by now.
    """
    primary = primary_of(group, seen)
    if primary != member:
        raise InconclusiveError(f"{primary} leads {group}; {member} did when the load began")
    return primary


def secondaries_of(replica_set: SetNodes, seen: Seen) -> tuple[str, ...]:
    """The data-bearing nodes that follow. Raises InconclusiveError where nobody, or two, lead."""
    primary = primary_of(replica_set.name, seen)
    data_bearing = [node.name for node in replica_set.nodes if node.kind is not Kind.ARBITER]
    found = tuple(name for name in data_bearing if name != primary)
    if not found:
        raise InconclusiveError(f"{replica_set.name} has no secondary")
    return found


def servers_of(context: Context, names: Iterable[str]) -> tuple[Server, ...]:
    """The servers of these nodes."""
    wanted = set(names)
    return tuple(server for server in servers(context) if server.node.name in wanted)
