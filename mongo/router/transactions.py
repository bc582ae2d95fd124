"""Which shard each transaction runs on: that of its first statement, and no other."""

from collections import OrderedDict
from dataclasses import dataclass

from mongo.router.command import Command, Session, UserName
from mongo.router.document import encode_elements
from mongo.router.errors import TRANSIENT_TRANSACTION, Code, CommandError

MAX_SESSIONS = 20_000  # the longest unused is forgotten
_ENDS = frozenset({"commitTransaction", "abortTransaction"})
TOKEN = "recoveryToken"  # noqa: S105 - the protocol's name of a field that is no secret

Key = tuple[UserName, bytes]


@dataclass(frozen=True)
class Pinned:
    """The newest transaction of a session, and where it runs."""

    number: int
    shard: str


class Transactions:
    """The transactions of this router's clients, by user and session."""

    def __init__(self) -> None:
        self._pinned: OrderedDict[Key, Pinned] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pinned)

    def shard_of(self, user: UserName, command: Command) -> str | None:
        """The shard that the command's transaction is pinned to.

        None for a first statement, and outside of transactions. Raises NoSuchTransaction for a
        statement of a transaction that did not start here; a commit or an abort may say where to
        go by the recovery token that we gave out.
        """
        session = command.session
        if session is None or not session.multi_statement:
            return None
        pinned = self._pinned.get((user, session.id))
        if pinned and pinned.number == session.transaction and not session.starts:
            return pinned.shard
        if session.starts:
            self._check_newer(pinned, session)
            return None
        token = command.body.document(TOKEN) if command.name in _ENDS else None
        shard = token.text("recoveryShardId") if token else None
        if shard is not None:
            return shard
        raise CommandError(
            Code.NoSuchTransaction,
            f"Given transaction number {session.transaction} does not match any in-progress "
            "transactions.",
            labels=(TRANSIENT_TRANSACTION,),
        )

    def pin(self, user: UserName, session: Session, shard: str) -> None:
        """Note where a transaction's first statement goes."""
        key = (user, session.id)
        self._pinned[key] = Pinned(session.transaction or 0, shard)
        self._pinned.move_to_end(key)
        while len(self._pinned) > MAX_SESSIONS:
            self._pinned.popitem(last=False)

    def end(self, user: UserName, session_id: bytes) -> None:
        """Forget a session."""
        self._pinned.pop((user, session_id), None)

    @staticmethod
    def token(shard: str) -> bytes:
        """The element by which a driver can commit through another router."""
        return encode_elements({TOKEN: {"recoveryShardId": shard}})

    @staticmethod
    def _check_newer(pinned: Pinned | None, session: Session) -> None:
        if pinned and (session.transaction or 0) < pinned.number:
            raise CommandError(
                Code.TransactionTooOld,
                f"txnNumber {session.transaction} is less than last txnNumber {pinned.number} "
                "seen in session",
            )
