"""What the shards' members themselves say of our commands: their logs, for a moment.

A member logs what its profiling filter names. At profiling level 0 nothing is stored, and our
filter keeps what the level logs anyway: slow operations. So one that is left behind by a killed run
does no harm; it is taken away by the next one (MongoDB Manual, `profile`, `getLog`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.context import Context
from cluster.errors import UnreachableError
from cluster.inventory import Kind, Node
from mongo.client import Client, node_client
from mongo.credentials import ADMIN, login

Document = Mapping[str, Any]

MARK = "skillswap-ops schema verify"
SLOW_MS = 100  # the server's default, where it says none
TRIES = 3  # the log that a member remembers is short (1024 lines); a busy one overruns it


@dataclass(frozen=True)
class Heard:
    """A command of ours that a member ran: the marked `comment`, the concern that it worked by."""

    member: str
    primary: bool
    command: str
    comment: str
    concern: Document


class Member:
    """A member that listens for our commands in one database."""

    def __init__(self, node: Node, client: Client, database: str) -> None:
        self.node, self._client, self._database = node, client, database
        settings = client[database].command({"profile": -1})
        self._before = settings.get("filter")
        self._slow = settings.get("slowms", SLOW_MS)

    def listen(self) -> None:
        """Log our commands beside what is logged anyway."""
        ours = {"command.comment": {"$regex": f"^{MARK}"}}
        kept = self._before if self._before and not is_ours(self._before) else None
        usual = kept or {"millis": {"$gte": self._slow}}
        self._set({"$or": [usual, ours]})

    def stop(self) -> None:
        """As it was before; without the filter of a killed run."""
        before = self._before
        self._set("unset" if not before or is_ours(before) else before)

    def heard(self) -> list[Heard]:
        """What the member remembers of our commands."""
        lines = self._client.admin.command({"getLog": "global"})["log"]
        primary = bool(self._client.admin.command("hello").get("isWritablePrimary"))
        return list(parse_log(lines, self.node.name, primary=primary))

    def _set(self, wanted: object) -> None:
        level = self._client[self._database].command({"profile": -1})["was"]
        self._client[self._database].command({"profile": level, "filter": wanted})


def is_ours(found: Document) -> bool:
    """Whether a profiling filter is one that a killed run left."""
    return MARK in str(found)


@contextmanager
def listening(context: Context, nodes: Sequence[Node], database: str) -> Iterator[list[Member]]:
    """The members that answer, each logging our commands until the end."""
    with ExitStack() as stack:
        members = []
        for node in nodes:
            if node.kind is Kind.ARBITER:
                continue
            try:
                client = stack.enter_context(node_client(node, login(context, ADMIN)))
                member = Member(node, client, database)
                stack.callback(member.stop)
                member.listen()
            except UnreachableError:
                continue
            members.append(member)
        yield members


def parse_log(lines: Iterable[str], member: str, *, primary: bool) -> Iterator[Heard]:
    """Our commands in a member's log of JSON lines (MongoDB Manual, Log Messages). Pure."""
    for line in lines:
        if MARK not in line:
            continue
        try:
            attributes = json.loads(line).get("attr", {})
        except ValueError:
            continue  # cut off: a line has 10 KB at most
        command = attributes.get("command", {})
        comment = command.get("comment") if isinstance(command, dict) else None
        if attributes.get("type") == "command" and str(comment).startswith(MARK):
            concern = attributes.get("writeConcern", {})
            yield Heard(member, primary, next(iter(command)), str(comment), concern)
