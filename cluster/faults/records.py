"""From an undo record's names back to servers."""

from collections.abc import Iterable

from cluster.drill.contracts import UndoRecord
from cluster.errors import OpsError
from cluster.server import Server


def named(servers: Iterable[Server], record: UndoRecord) -> tuple[Server, ...]:
    """The servers that the record targets. Raises OpsError for one that there is not."""
    by_name = {server.name: server for server in servers}
    unknown = [name for name in record.targets if name not in by_name]
    if unknown:
        raise OpsError(f"{', '.join(unknown)}: no such server in this topology")
    return tuple(by_name[name] for name in record.targets)
