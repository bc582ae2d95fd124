"""Other ways to write than over an application's pool: with a new client each time, or past it."""

from cluster.context import Context
from cluster.drill.contracts import Writer
from cluster.drill.outcome import Result
from cluster.errors import UnreachableError
from cluster.inventory import Node
from mongo import nodes
from mongo.client import Client, set_client
from mongo.credentials import Login
from mongo.nodes import SetNodes
from mongo.writer import SegmentStore, WritePath


class FreshStore(SegmentStore):
    """With a client of its own for each write: it finds a router, and logs in."""

    def open_writer(self, worker: int) -> Writer:  # noqa: ARG002 - they are all alike
        """A writer that keeps nothing."""
        return FreshWriter(self)


class FreshWriter:
    """Opens a client for each write, and closes it."""

    def __init__(self, store: SegmentStore) -> None:
        self._store = store

    def write(self, op: int) -> Result:
        """Insert a document with the operation's own key; never raises what pymongo raises."""
        client = self._store.connect()
        try:
            return self._store.writer_over(client).write(op)
        finally:
            client.close()

    def close(self) -> None:
        """Nothing to release: a write closes what it opened, and has its deadline."""


class MemberStore(SegmentStore):
    """Straight to one member, whatever becomes of it: what its side of a partition says.

    It is the member that leads when the run is prepared. The administrator writes, for a member
    knows no application. What is read back comes through the routers.
    """

    def __init__(self, context: Context, path: WritePath, replica_set: SetNodes) -> None:
        super().__init__(context, path)
        self._set = replica_set
        self._member: Node | None = None

    @property
    def member(self) -> str:
        """The member's name; "" before the run is prepared."""
        return self._member.name if self._member else ""

    def prepare(self, run: str) -> None:
        """Find the member, and make the run's collection."""
        self._member = _leader(self._set, self._administrator)
        super().prepare(run)

    def connect(self, **options: int) -> Client:
        """A client of that member alone. Raises UnreachableError before the run is prepared."""
        if self._member is None:
            raise UnreachableError(f"{self._set.name}: no member was chosen to write to")
        host = nodes.host(self._member)
        return self.client_of([host], self._administrator, directConnection=True, **options)


def _leader(replica_set: SetNodes, user: Login) -> Node:
    """Raises UnreachableError where there is none."""
    with set_client(replica_set, user) as client:
        client.admin.command("ping")  # makes the driver look for a primary
        found = client.primary
    leader = f"{found[0]}:{found[1]}" if found else ""
    for node in replica_set.nodes:
        if nodes.host(node) == leader:
            return node
    raise UnreachableError(f"{replica_set.name} has no primary")
