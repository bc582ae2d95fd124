"""What the recovery of one set is told, and what it tells."""

from pydantic import BaseModel, ConfigDict

from mongo.backup.slices import Piece, Slice
from mongo.backup.stamps import Stamp

PLACE = "SKILLSWAP_OPS_RECOVER_PLACE"  # in the environment: they hold secrets
KEYFILE_TEXT = "SKILLSWAP_OPS_RECOVER_KEY"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PieceModel(_Model):
    """A part of the archive to replay."""

    history: int
    prev: Stamp
    last: Stamp
    after: Stamp
    upto: Stamp

    def piece(self, replica_set: str) -> Piece:
        """The same, of a set."""
        made = Slice(self.history, replica_set, self.prev, self.last)
        return Piece(made, self.after, self.upto)


class Transaction(_Model):
    """A prepared transaction: by its session (the hash and the rest, hexadecimal) and number.

    `commit` is the time at which it was decided to be committed; None: it was not.
    """

    session: str
    number: int
    prepared: Stamp
    term: int
    commit: Stamp | None = None


class Job(_Model):
    """One set: what to unpack, what to replay, and where its server may listen meanwhile."""

    replica_set: str
    folder: str  # the data go into `data` below it
    mongod: str
    keyfile: str
    address: str
    port: int
    tls: str  # the file of its certificate; empty: it speaks in the clear
    trust: str
    snapshot: str  # its key in the repository
    pieces: tuple[PieceModel, ...]
    cut: Stamp
    term: int = 0  # the set's next election comes after this one, whatever the copy knows
    decided: tuple[Transaction, ...] | None = None  # of a second call: what became of them


class Outcome(_Model):
    """Where the set is now: its newest entry, and the transactions that are in doubt."""

    last: Stamp
    hash: str
    replayed: int
    bytes: int
    doubt: tuple[Transaction, ...]
    committed: tuple[Transaction, ...]  # that this set knows of
