"""A command on its way through the router, and the router's parts that answers look at."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mongo.router.authentication import Authentication, Identity
from mongo.router.backends import Backends
from mongo.router.command import Command, Principal
from mongo.router.cursors import Cursors
from mongo.router.document import Document
from mongo.router.errors import Code, CommandError
from mongo.router.metadata import Metadata
from mongo.router.transactions import Transactions
from mongo.router.users import Users

Fields = dict[str, Any]


@dataclass
class Counters:
    """What serverStatus counts."""

    began: float = field(default_factory=time.monotonic)
    connections: int = 0
    connections_made: int = 0
    refused: int = 0
    commands: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """The router's parts that its own answers look at."""

    backends: Backends
    metadata: Metadata
    users: Users
    authentication: Authentication
    cursors: Cursors
    transactions: Transactions
    counters: Counters
    max_connections: int
    retries: Callable[[], int]


@dataclass(frozen=True)
class Request:
    """A command, who sent it, and over which connection."""

    command: Command
    identity: Identity
    connection: int
    who: Principal | None

    @property
    def body(self) -> Document:
        """The command's fields."""
        return self.command.body

    @property
    def principal(self) -> Principal:
        """Who sent it; only for commands that are not answered before a log-in."""
        if self.who is None:
            raise CommandError(Code.Unauthorized, "not authenticated")
        return self.who
