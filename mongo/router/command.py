"""A client's command, checked: its fields are known, and it says whom and what it is about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from mongo.router.authz import Needs, Rights
from mongo.router.document import Document
from mongo.router.pipeline import Pipeline
from mongo.router.wire import Sequence


@dataclass(frozen=True, slots=True)
class UserName:
    """A user, and the database that knows it."""

    name: str
    database: str

    def __str__(self) -> str:
        return f"{self.name}@{self.database}"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a command, and what he may do."""

    user: UserName
    rights: Rights


class Goes(Enum):
    """Who answers a command."""

    HERE = "the router"
    OWNER = "the shard that owns the database"
    CONFIG = "the config servers' primary"
    CURSOR = "the server that holds the cursor"
    NOWHERE = "nobody: mongos is needed"


class Nature(Enum):
    """What a command does to data."""

    READ = "reads"
    WRITE = "writes documents"
    DEFINE = "defines or administers"


@dataclass(frozen=True)
class Spec:
    """What the router knows of a command. What is not in a Spec is not sent anywhere.

    `fields` are those that a client may send beside the generic ones (None: any, for commands
    that are answered here); `sequence` is the field that may come as a document sequence.
    `public` commands are answered before authentication. `needs` gives the rights.
    """

    name: str
    goes: Goes
    nature: Nature
    needs: "Callable[[Command, Principal], Needs]"
    fields: frozenset[str] | None = frozenset()
    aliases: tuple[str, ...] = ()
    sequence: str | None = None
    public: bool = False
    admin_only: bool = False
    on_collection: bool = False
    read_concern: bool = False
    write_concern: bool = False
    in_transaction: bool = False
    # The router's command to the shard or config servers, where it is not the client's own.
    internal_name: str | None = None


def fields(text: str) -> frozenset[str]:
    """The names in a text, separated by spaces."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Session:
    """The logical session that a command belongs to."""

    id: bytes  # 16 bytes of a UUID
    transaction: int | None = None
    multi_statement: bool = False
    starts: bool = False

    @property
    def retryable_write(self) -> bool:
        """Whether the shard executes the command once, however often it comes."""
        return self.transaction is not None and not self.multi_statement


@dataclass(frozen=True, slots=True)
class Command:
    """A command whose form has been checked; its rights have not."""

    spec: Spec
    database: str
    collection: str
    body: Document
    sequence: Sequence | None = None
    session: Session | None = None
    max_time_ms: int = 0
    pipeline: Pipeline | None = None
    inner: "Command | None" = None

    @property
    def name(self) -> str:
        """MongoDB's name of the command."""
        return self.spec.name

    @property
    def namespace(self) -> str:
        """`database.collection`."""
        return f"{self.database}.{self.collection}"

    @property
    def argument(self) -> str:
        """The name of the first field, as the client wrote it."""
        return next(iter(self.body))

    @property
    def in_transaction(self) -> bool:
        """Whether it is a statement, or the end, of a transaction."""
        return self.session is not None and self.session.multi_statement

    @property
    def writes(self) -> bool:
        """Whether it must go to a primary."""
        if self.pipeline is not None:
            return self.pipeline.writes
        return self.spec.nature is not Nature.READ

    @property
    def change_stream(self) -> bool:
        """Whether it opens a change stream."""
        return self.pipeline is not None and self.pipeline.change_stream

    def statements(self) -> Iterator[Document]:
        """The statements of a batch, wherever they stand in the message."""
        if self.sequence is not None:
            yield from self.sequence.documents()
        elif self.spec.sequence is not None:
            yield from self.body.documents(self.spec.sequence)

    def statement_count(self) -> int:
        """How many statements a batch has."""
        if self.sequence is not None:
            return self.sequence.count
        nested = self.body.document(self.spec.sequence or "")
        return len(nested.elements) if nested else 0
