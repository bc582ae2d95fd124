"""pgBackRest: the stanza, the proof that archiving works, backups, and what it says of them.

What all this comes to for an operator (windows, targets, damage) is decided in the `backup_*` and
`restore_*` modules beside this one; here it is called, and its answers are parsed.
"""

import json
from dataclasses import dataclass

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.inventory import Node
from cluster.target import ToolResult
from postgres import archive, wal
from postgres.client import superuser, value
from postgres.scopes import data_folder

LOCKED = 50  # pgBackRest's exit code where another of its commands holds the lock
HALF_MADE = 55  # its FileMissingError: of archive.info and backup.info one is there
NOT_ARCHIVED = 82  # its ArchiveTimeoutError: a segment did not come in time
REFUSED = """
SELECT last_failed_wal FROM pg_stat_archiver
WHERE last_failed_time > coalesce(last_archived_time, '-infinity')"""
STOPPED = 62  # its StopError: somebody said `pgbackrest stop`
INFO_SECONDS = 60
CHECK_SECONDS = 60
# sh knows no pipefail, and what cannot be read whole must not look like an empty file.
CHECKSUM = 'part=$(mktemp) && "$0" "$@" > "$part"; code=$?; sha256sum < "$part"; rm -f "$part"; \
exit $code'
LONG_SECONDS = 24 * 3600.0  # backup, verify and restore take as long as the data is large


@dataclass(frozen=True)
class Backup:
    """A finished backup. `kind` is full, diff or incr; times are seconds since 1970.

    `error`: pages with a wrong checksum were copied; the server's own data is damaged.
    """

    label: str
    kind: str
    started: int
    stopped: int
    bytes_total: int
    bytes_repository: int
    wal_start: str
    wal_stop: str
    error: bool
    repository: int = 1
    lsn_stop: int = 0


@dataclass(frozen=True)
class Repository:
    """A repository by its number; `message` is its state in words, "ok" where it can be used.

    `system_id` is of the newest database in it.
    """

    number: int
    exists: bool
    message: str
    system_id: int | None
    encrypted: bool


@dataclass(frozen=True)
class Repositories:
    """What pgBackRest knows of the stanza, in all repositories; it exists where it does in each."""

    each: tuple[Repository, ...]
    backups: tuple[Backup, ...]
    wal_first: str
    wal_last: str

    @property
    def missing(self) -> tuple[Repository, ...]:
        """The repositories that have no usable stanza."""
        return tuple(repository for repository in self.each if not repository.exists)

    @property
    def exists(self) -> bool:
        """Whether every repository has a usable stanza."""
        return bool(self.each) and not self.missing

    @property
    def full(self) -> Backup | None:
        """The newest good full backup, in whatever repository."""
        good = [backup for backup in self.backups if backup.kind == "full" and not backup.error]
        return max(good, key=lambda backup: backup.stopped, default=None)

    def full_in(self, repository: int) -> Backup | None:
        """The newest good full backup of one repository."""
        own = tuple(backup for backup in self.backups if backup.repository == repository)
        return Repositories((), own, "", "").full

    def without(self, kind: str | None = None) -> tuple[int, ...]:
        """The repositories that have no good backup (of that kind)."""
        have = {
            backup.repository
            for backup in self.backups
            if not backup.error and kind in {None, backup.kind}
        }
        return tuple(each.number for each in self.each if each.number not in have)


def parse_info(text: str) -> Repositories:
    """The answer of `pgbackrest info --output=json` for one stanza. Raises OpsError for no JSON.

    Status codes are pgBackRest's: 0 ok, 2 no valid backups; others have no usable stanza.
    """
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise OpsError(f"pgbackrest info: {text[:200]}") from error
    if not rows:
        return Repositories((), (), "", "")
    row = rows[0]
    newest = {one["repo-key"]: one["system-id"] for one in row.get("db") or []}
    archives = row.get("archive") or []
    segments = archives[-1] if archives else {}
    return Repositories(
        each=tuple(
            Repository(
                number=one["key"],
                exists=one["status"]["code"] in {0, 2} and one["key"] in newest,
                message=one["status"]["message"],
                system_id=newest.get(one["key"]),
                encrypted=one["cipher"] != "none",
            )
            for one in row["repo"]
        ),
        backups=tuple(
            Backup(
                label=backup["label"],
                kind=backup["type"],
                started=backup["timestamp"]["start"],
                stopped=backup["timestamp"]["stop"],
                bytes_total=backup["info"]["size"],
                bytes_repository=backup["info"]["repository"]["delta"],
                wal_start=backup["archive"]["start"] or "",
                wal_stop=backup["archive"]["stop"] or "",
                error=bool(backup.get("error")),
                repository=backup["database"]["repo-key"],
                lsn_stop=wal.lsn((backup.get("lsn") or {}).get("stop") or "0/0"),
            )
            for backup in row.get("backup") or []
        ),
        wal_first=segments.get("min") or "",
        wal_last=segments.get("max") or "",
    )


def repositories(context: Context, node: Node) -> Repositories:
    """What is in the repositories, as a node sees them."""
    ended = _run(context, node, ("info", "--output=json"), INFO_SECONDS)
    return parse_info(ended.stdout)


def archived(context: Context, node: Node, repository: int = 1) -> tuple[str, ...]:
    """The WAL segments in a repository, by name, in order; of every timeline."""
    return parse_listing(listing(context, node, repository))


def listing(context: Context, node: Node, repository: int) -> str:
    """Every file of a repository's WAL archive, one a line."""
    command = ("repo-ls", f"--repo={repository}", "--recurse", f"archive/{archive.stanza(context)}")
    return _run(context, node, command, INFO_SECONDS).stdout


def parse_listing(text: str) -> tuple[str, ...]:
    """`…/<segment>-<checksum>.<compression>` a line; histories and labels are no segments."""
    names = (line.strip().rpartition("/")[2] for line in text.splitlines())
    return wal.segments(name.partition("-")[0] for name in names if "-" in name)


def content(context: Context, node: Node, repository: int, path: str) -> ToolResult:
    """A file of a repository, decrypted; its exit code says whether it could be read."""
    return _ended(context, node, ("repo-get", f"--repo={repository}", path), INFO_SECONDS)


def checksum(context: Context, node: Node, repository: int, path: str) -> str:
    """The checksum of a repository's file, decrypted; "" where it cannot be read."""
    argv = (archive.program(context), f"--stanza={archive.stanza(context)}", "repo-get")
    ended = context.target.run_tool(
        node,
        ("sh", "-c", CHECKSUM, *argv, f"--repo={repository}", path),
        env=archive.environment(context, node),
        seconds=INFO_SECONDS,
    )
    return ended.stdout.strip() if ended.code == 0 else ""


def fetch_segment(context: Context, node: Node, repository: int, segment: str, to: str) -> None:
    """Put a WAL segment out of one repository into a file. Raises OpsError where it cannot be."""
    _run(context, node, ("archive-get", f"--repo={repository}", segment, to), INFO_SECONDS)


def create_stanza(context: Context, node: Node) -> None:
    """Prepare the repositories for this database cluster. Idempotent.

    A try that was killed leaves a stanza that pgBackRest refuses to finish. It is removed and made
    anew in the repositories that have no backup: what WAL they have got can restore nothing.
    """
    command = ("stanza-create",)
    ended = _ended(context, node, command, CHECK_SECONDS)
    if ended.code in {HALF_MADE, STOPPED} and (empty := repositories(context, node).without()):
        _run(context, node, ("stop",), INFO_SECONDS)
        for number in empty:
            delete = ("stanza-delete", f"--repo={number}", "--force")
            _run(context, node, delete, CHECK_SECONDS)
        _run(context, node, ("start",), INFO_SECONDS)
        ended = _ended(context, node, command, CHECK_SECONDS)
    _good(node, command, ended)


def check(context: Context, node: Node) -> None:
    """Prove archiving: a new WAL segment must reach every repository. Raises OpsError if not."""
    ended = _ended(context, node, ("check",), CHECK_SECONDS)
    if ended.code == NOT_ARCHIVED and (segment := _refused_segment(context, node)):
        # `check` says only that it waited in vain: the push itself says why.
        pushed = push(context, node, segment)
        why = _reason(pushed) if pushed.code else "pushed by hand it passes"
        raise OpsError(f"pgbackrest archive-push of {segment} on {node.name}: {why}")
    _good(node, ("check",), ended)


def push(context: Context, node: Node, segment: str) -> ToolResult:
    """Push one file of `pg_wal`, as PostgreSQL would; a file that is there already is no error."""
    path = data_folder(context.layout, node) / "pg_wal" / segment
    return _ended(context, node, ("archive-push", str(path)), CHECK_SECONDS)


def _refused_segment(context: Context, node: Node) -> str:
    """The file at which PostgreSQL's archiver has been since it failed last; "" if it goes on."""
    with superuser(context, node) as connection:
        return str(value(connection, REFUSED) or "")


def resume(context: Context, node: Node) -> None:
    """Take back a `pgbackrest stop`, as one that was killed in `create_stanza` leaves it.

    It lets every push from that node fail; `check` waits for the segment in vain, and says no more.
    """
    _run(context, node, ("start",), INFO_SECONDS)


def take(context: Context, node: Node, kind: str, repository: int) -> None:
    """Take a backup into one repository. Interrupted, it leaves nothing that is listed as one."""
    _run(context, node, ("backup", f"--type={kind}", f"--repo={repository}"), LONG_SECONDS)


def expire(context: Context, node: Node, repository: int) -> None:
    """Remove from a repository what its retention no longer keeps."""
    _run(context, node, ("expire", f"--repo={repository}"), LONG_SECONDS)


def verification(context: Context, node: Node, repository: int) -> str:
    """What `pgbackrest verify` prints of a repository, with each bad file by name.

    Its exit code says nothing: it is 0 over a damaged repository too (2.45).
    """
    command = ("verify", f"--repo={repository}", "--output=text", "--verbose", "--job-retry=0")
    quiet = ("--log-level-console=info", "--log-level-stderr=off")
    return _run(context, node, (*command, *quiet), LONG_SECONDS).stdout


def restore(context: Context, node: Node, options: tuple[str, ...]) -> None:
    """Put a backup's files into a folder, as the options say."""
    _run(context, node, ("restore", *options), LONG_SECONDS)


def _run(context: Context, node: Node, command: tuple[str, ...], seconds: float) -> ToolResult:
    """The same, as `_ended`; raises OpsError where it failed."""
    return _good(node, command, _ended(context, node, command, seconds))


def _ended(context: Context, node: Node, command: tuple[str, ...], seconds: float) -> ToolResult:
    """Run pgbackrest on a node, waiting where another of its commands holds the lock."""
    argv = (archive.program(context), f"--stanza={archive.stanza(context)}", *command)

    def unlocked() -> ToolResult | None:
        ended = context.target.run_tool(
            node, argv, env=archive.environment(context, node), seconds=seconds
        )
        return None if ended.code == LOCKED else ended

    try:
        return wait_for(
            f"pgbackrest {command[0]}: its lock", unlocked, seconds=seconds, every=0.5,
            clock=context.clock,
        )  # fmt: skip
    except UnreachableError as error:
        raise UnreachableError(error.message, "another pgbackrest is running") from error


def _good(node: Node, command: tuple[str, ...], ended: ToolResult) -> ToolResult:
    if ended.code:
        raise OpsError(f"pgbackrest {command[0]} on {node.name}: {_reason(ended)}")
    return ended


def _reason(ended: ToolResult) -> str:
    """The first error of pgBackRest's output, without its time stamp."""
    lines = (ended.stdout + ended.stderr).splitlines()
    errors = [number for number, line in enumerate(lines) if "ERROR" in line]
    if not errors:
        return lines[0] if lines else f"exit code {ended.code}"
    first = errors[0]
    reason = lines[first].partition("ERROR: ")[2] or lines[first]
    # "unable to …:" goes on in the next line, indented.
    following = lines[first + 1].strip() if reason.endswith(":") and lines[first + 1 :] else ""
    return f"{reason} {following}".strip()
