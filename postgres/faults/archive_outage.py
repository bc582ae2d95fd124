"""The folder of WAL and backups closed to the servers, as when its volume is gone or read-only.

pgBackRest then fails as it does with any repository that it cannot reach: the push returns an
error, PostgreSQL keeps the segment and tries again.
"""

from dataclasses import dataclass
from random import Random

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Fault, Healer, Seen, UndoRecord
from cluster.errors import InvalidInputError, OpsError
from cluster.inventory import Node
from cluster.target import Hit
from cluster.topology import FolderRepository
from postgres.client import superuser, value
from postgres.faults import who
from postgres.scopes import Scope

OPEN_ARCHIVE = "open archive"
FOLDER, MODE = "folder", "mode"
CLOSED = "000"
SECONDS = 60.0  # PostgreSQL tries a segment three times, a second apart, then waits a minute


@dataclass(frozen=True)
class CloseArchive:
    """Take every right to `folder` away; `mode` is what it has now, in octal."""

    context: Context
    leader: Node
    folder: str
    mode: str

    @property
    def name(self) -> str:
        """As shown."""
        return "archive unreachable"

    @property
    def undo(self) -> UndoRecord:
        """Give the rights back."""
        args = {FOLDER: self.folder, MODE: self.mode}
        return UndoRecord(OPEN_ARCHIVE, (self.leader.name,), args)

    def inject(self) -> Hit:
        """Close it, make a segment full, and see PostgreSQL fail to archive it."""
        before = failures(self.context, self.leader)
        _chmod(self.context, self.leader, self.folder, CLOSED)
        at = self.context.clock.monotonic()
        switch_wal(self.context, self.leader)
        after = wait_for(
            "a failure to archive",
            lambda: (now := failures(self.context, self.leader)) > before and now,
            seconds=SECONDS,
            clock=self.context.clock,
        )
        return Hit(at, f"archiving has failed: pg_stat_archiver counts {after}, before {before}")


def folder_repository(context: Context) -> str | None:
    """The first repository that is a folder; None where there is none."""
    for repository in context.topology.archive.repositories:
        if isinstance(repository, FolderRepository):
            return repository.path or str(context.layout.archive)
    return None


def folder_number(context: Context) -> int:
    """The number of that repository, as pgBackRest counts; 1 where there is none."""
    for number, repository in enumerate(context.topology.archive.repositories, start=1):
        if isinstance(repository, FolderRepository):
            return number
    return 1


def archive_outage(context: Context, scope: Scope, mode: str, seen: Seen, _random: Random) -> Fault:
    """The fault, as whoever leads feels it. Raises InconclusiveError where nobody does."""
    folder = folder_repository(context)
    if folder is None:
        raise InvalidInputError("no repository of the archive is a folder")
    return CloseArchive(context, who.leader(scope, seen), folder, mode)


def mode_of_archive(context: Context, node: Node) -> str:
    """The rights of the folder now, in octal."""
    folder = folder_repository(context) or ""
    return _run(context, node, "stat", "--format=%a", folder).strip()


def open_archive(context: Context) -> Healer:
    """The healer."""

    def heal(record: UndoRecord) -> None:
        node = context.inventory.named(record.targets[0])
        _chmod(context, node, record.args[FOLDER], record.args[MODE])

    return heal


def switch_wal(context: Context, leader: Node) -> str:
    """End the current WAL segment, which then is to be archived; its name."""
    with superuser(context, leader) as connection:
        # A segment without any record would not be switched.
        connection.execute("SELECT pg_logical_emit_message(false, 'skillswap-ops', 'switch')")
        return str(value(connection, "SELECT pg_walfile_name(pg_switch_wal())"))


def failures(context: Context, leader: Node) -> int:
    """How often archiving has failed since the statistics began."""
    with superuser(context, leader) as connection:
        return int(value(connection, "SELECT failed_count FROM pg_stat_archiver"))


def _chmod(context: Context, node: Node, folder: str, mode: str) -> None:
    _run(context, node, "chmod", mode, folder)


def _run(context: Context, node: Node, *argv: str) -> str:
    ended = context.target.run_tool(node, argv)
    if ended.code:
        raise OpsError(f"{argv[0]} on {node.name}: {ended.stderr.strip()[:200]}")
    return ended.stdout
