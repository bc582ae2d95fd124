"""Open cursors: which server holds each, and whose it is."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mongo.router.command import UserName
from mongo.router.errors import Code, CommandError, unauthorized

MAX_CURSORS = 50_000
IDLE_SECONDS = 3600.0  # servers close an idle cursor after 10 minutes, a session after 30


@dataclass(slots=True)
class Cursor:
    """An open cursor on a server."""

    replica_set: str
    server: str
    owner: UserName
    namespace: str
    change_stream: bool
    used: float


class Cursors:
    """The cursors opened through this router, by the number that their server gave them."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._open: OrderedDict[int, Cursor] = OrderedDict()
        self._now = monotonic

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self,
        number: int,
        replica_set: str,
        server: str,
        owner: UserName,
        namespace: str,
        *,
        change_stream: bool,
    ) -> bool:
        """Note a new cursor; False where another server's open cursor has the same number."""
        now = self._now()
        known = self._open.get(number)
        if known and known.server != server:
            return False
        self._open[number] = Cursor(replica_set, server, owner, namespace, change_stream, now)
        self._open.move_to_end(number)
        self._sweep(now)
        return True

    def of(self, number: int, user: UserName) -> Cursor:
        """The user's cursor. Raises CursorNotFound, or Unauthorized for another's cursor."""
        cursor = self._open.get(number)
        if cursor is None:
            raise CommandError(Code.CursorNotFound, f"cursor id {number} not found")
        if cursor.owner != user:
            raise unauthorized(f"cursor id {number} was not created by the authenticated user")
        cursor.used = self._now()
        self._open.move_to_end(number)
        return cursor

    def forget(self, number: int) -> None:
        """The cursor is closed."""
        self._open.pop(number, None)

    def _sweep(self, now: float) -> None:
        while self._open:
            number, oldest = next(iter(self._open.items()))
            if len(self._open) <= MAX_CURSORS and now - oldest.used < IDLE_SECONDS:
                return
            del self._open[number]
