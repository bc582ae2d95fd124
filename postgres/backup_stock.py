"""Reads what the repositories hold: good backups, WAL with its timelines, commits of a segment."""

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError, UnreachableError
from cluster.inventory import Node
from postgres import archive, backup, patroni
from postgres.client import superuser
from postgres.restore_target import Stock
from postgres.scopes import primary_scope
from postgres.timelines import Archive, Commit, Fork, parse_commits, parse_history

HISTORY = re.compile(r"^(?P<path>\S+/(?P<timeline>[0-9A-F]{8})\.history)$")
DUMP_SECONDS = 120.0
DAMAGED = "`skillswap-ops backup verify` says what is damaged"


def reader(context: Context) -> Node:
    """Where pgBackRest is run to read repositories: whoever leads, else any member will do."""
    scope = primary_scope(context)
    with suppress(OpsError):
        leader = patroni.find_leader(scope)
        if leader is not None:
            return leader
    return scope.founder


def stocks(context: Context, only: int = 0) -> tuple[Stock, ...]:
    """Every repository, or the one of that number.

    Raises OpsError where one cannot be read (its damage is not passed over), InvalidInputError
    where there is none of that number.
    """
    node = reader(context)
    numbers = range(1, len(context.topology.archive.repositories) + 1)
    if only and only not in numbers:
        raise InvalidInputError(f"there is no repository {only}", f"there are {len(numbers)}")
    wanted = [only] if only else list(numbers)
    found = backup.repositories(context, node)
    for each in found.each:
        if each.number in wanted and each.message not in {
            "ok",
            "no valid backups",
            "missing stanza path",
        }:
            raise OpsError(
                f"repository {each.number} cannot be read: {each.message}",
                "look at it with `skillswap-ops backup verify`",
            )
    return tuple(_stock(context, node, number, found) for number in wanted)


def commits_of(
    context: Context, node: Node, repository: int
) -> Callable[[str], tuple[Commit, ...]]:
    """A reader of a segment's commits. Raises OpsError where it cannot be fetched."""
    folder = context.layout.run(node) / "segments"

    @cache
    def look(segment: str) -> tuple[Commit, ...]:
        path = str(folder / segment)
        program = context.programs.postgres("pg_waldump", context.topology.postgres.version)
        try:
            backup.fetch_segment(context, node, repository, segment, path)
        except OpsError as error:
            raise OpsError(error.message, DAMAGED) from error
        # pg_waldump ends with an error wherever the WAL of a segment ends before the segment does.
        script = 'TZ=UTC "$0" --rmgr=Transaction "$1"; rm -f "$1"'
        argv = ("sh", "-c", script, program, path)
        return parse_commits(context.target.run_tool(node, argv, seconds=DUMP_SECONDS).stdout)

    context.target.run_tool(node, ("mkdir", "-p", str(folder)))
    return look


def close_wal(context: Context) -> bool:
    """Have everything that is committed by now archived; whether there was a primary to do it.

    A commit of nothing comes first, so that every instant until now has a commit after it, which is
    what PostgreSQL recognises a time by. Raises OpsError where archiving fails.
    """
    scope = primary_scope(context)
    try:
        leader = patroni.find_leader(scope)
        if leader is None or not patroni.state(leader).primary:
            return False
        with superuser(context, leader) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'skillswap-ops', 'until now')")
    except UnreachableError:
        return False
    backup.check(context, leader)
    return True


def wait_until_archived(context: Context, node: Node, name: str, seconds: float) -> None:
    """Until every repository has a file of that name (a history, a segment)."""
    for number, _ in enumerate(context.topology.archive.repositories, start=1):
        wait_for(
            f"{name} in repository {number}",
            lambda number=number: name in backup.listing(context, node, number),  # type: ignore[misc]
            seconds=seconds,
            every=0.3,
            clock=context.clock,
        )


def _stock(context: Context, node: Node, number: int, found: backup.Repositories) -> Stock:
    text = backup.listing(context, node, number) if found.exists else ""
    newest = _newest_database(text)
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith(newest)]
    return Stock(
        number,
        tuple(each for each in found.backups if each.repository == number and not each.error),
        Archive(
            frozenset(backup.parse_listing("\n".join(lines))),
            _forks(context, node, number, lines),
            commits_of(context, node, number),
        ),
    )


def _newest_database(listing: str) -> str:
    """`15-1/`: WAL of an older major version is of no use to the backups of the newer one."""
    found = {line.strip().partition("/")[0] for line in listing.splitlines() if "/" in line}
    numbered = [(int(name.rpartition("-")[2]), name) for name in found if name[-1:].isdigit()]
    return f"{max(numbered)[1]}/" if numbered else ""


def _forks(context: Context, node: Node, number: int, lines: list[str]) -> dict[int, Fork]:
    """Newest first: a history tells of all ancestors, so that few need be read."""
    paths = {
        int(found["timeline"], 16): found["path"]
        for line in lines
        if (found := HISTORY.match(line))
    }
    forks: dict[int, Fork] = {}
    for timeline in sorted(paths, reverse=True):
        if timeline in forks:
            continue
        path = f"archive/{archive.stanza(context)}/{paths[timeline]}"
        ended = backup.content(context, node, number, path)
        known = parse_history(ended.stdout, timeline) if ended.code == 0 else {}
        if timeline not in known:
            raise OpsError(f"repository {number}: {paths[timeline]} cannot be read", DAMAGED)
        forks.update(known)
    return forks
