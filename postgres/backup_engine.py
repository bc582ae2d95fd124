"""PostgreSQL's backups as the commands and drills know them: `cluster.backup.contracts`."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cluster.backup.contracts import (
    Backup,
    BackupKind,
    Damage,
    Restored,
    Say,
    Target,
    Window,
)
from cluster.context import Context
from cluster.errors import OpsError
from postgres import backup, backup_stock, backup_verify, patroni, restore_beside, restore_in_place
from postgres.restore_points import mark
from postgres.restore_target import windows
from postgres.scopes import primary_scope

NAME = "postgres"


class PostgresBackups:
    """pgBackRest underneath; see `BackupEngine` for what each method promises."""

    @property
    def name(self) -> str:
        """As commands take it."""
        return NAME

    def run(self, context: Context, kind: BackupKind, say: Say) -> tuple[Backup, ...]:
        """A backup of the primary into every repository; one that fails stops no other."""
        leader = patroni.leader_of(primary_scope(context))
        before = {(each.repository, each.label) for each in self.list(context)}

        def take(number: int) -> None:
            say(f"postgres: {kind} backup into repository {number}")
            backup.take(context, leader, kind, number)

        _each(context, take)
        return tuple(
            each for each in self.list(context) if (each.repository, each.label) not in before
        )

    def list(self, context: Context) -> tuple[Backup, ...]:
        """The finished ones, oldest first; one with damaged pages is not good."""
        found = backup.repositories(context, backup_stock.reader(context))
        return tuple(sorted(map(_shown, found.backups), key=lambda each: each.stopped))

    def windows(self, context: Context) -> tuple[Window, ...]:
        """What is archived; a restore first archives what was written since."""
        return tuple(window for stock in backup_stock.stocks(context) for window in windows(stock))

    def verify(self, context: Context) -> tuple[Damage, ...]:
        """Every file of every backup, every WAL segment, and that none is missing."""
        return backup_verify.verify(context)

    def expire(self, context: Context) -> tuple[str, ...]:
        """By `retention_full` of each repository, WAL included."""
        node = backup_stock.reader(context)
        before = {(each.repository, each.label) for each in self.list(context)}
        _each(context, lambda number: backup.expire(context, node, number))
        after = {(each.repository, each.label) for each in self.list(context)}
        return tuple(f"{label} (repository {number})" for number, label in sorted(before - after))

    def mark(self, context: Context, name: str) -> Target:
        """A named restore point where the WAL now ends; the target that restores to it."""
        point = mark(context, name)
        return Target(name=point.name)

    def restore_beside(
        self,
        context: Context,
        target: Target,
        folder: Path,
        say: Say,
        bench: Context | None = None,
    ) -> Restored:
        """Into an empty folder of the servers' user; the server there is stopped again."""
        return restore_beside.beside(context, target, folder, say, bench=bench)

    def restore_in_place(self, context: Context, target: Target, say: Say) -> Restored:
        """The whole cluster back to the target; the caller holds the cluster's lock."""
        return restore_in_place.in_place(context, target, say)


ENGINE = PostgresBackups()


def _shown(found: backup.Backup) -> Backup:
    return Backup(
        engine=NAME,
        label=found.label,
        kind=BackupKind(found.kind),
        started=datetime.fromtimestamp(found.started, UTC),
        stopped=datetime.fromtimestamp(found.stopped, UTC),
        bytes_total=found.bytes_total,
        bytes_stored=found.bytes_repository,
        repository=found.repository,
        good=not found.error,
        problem="pages with a wrong checksum were copied" if found.error else "",
    )


def _each(context: Context, act: Callable[[int], None]) -> None:
    """For every repository. Raises OpsError at the end where it failed for one."""
    errors = []
    for number, _ in enumerate(context.topology.archive.repositories, start=1):
        try:
            act(number)
        except OpsError as error:
            errors.append(f"repository {number}: {error.message}")
    if errors:
        raise OpsError("; ".join(errors))
