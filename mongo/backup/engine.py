"""MongoDB as `cluster.backup.contracts` knows an engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import BusyError, InvalidInputError, OpsError, RefusedError, UnreachableError
from cluster.lock import exclusive
from mongo import nodes
from mongo.backup import (
    archive,
    catalogue,
    inplace,
    locking,
    manifest,
    planning,
    restoring,
    settings,
    snapshot,
)
from mongo.backup.catalogue import Contents
from mongo.backup.manifest import Manifest
from mongo.backup.planning import REPOSITORY, Plan
from mongo.backup.restoring import Beside
from mongo.client import ask_all, set_client
from mongo.credentials import internal
from mongo.nodes import SetNodes

NAME = "mongo"
RECENT = timedelta(minutes=5)  # the archive may be about to reach an instant so late
ARCHIVE_SECONDS = 60.0
BEGIN_SECONDS = 20.0
LOCK = "mongo-backup.lock"
IN_PLACE = "all members run on it; take a snapshot soon, so that the next restore is short"


class MongoBackups:
    """Snapshots of all sets, and restores to any second that the oplog archive reaches."""

    @property
    def name(self) -> str:
        """As commands take it."""
        return NAME

    def run(self, context: Context, kind: BackupKind, say: Say) -> tuple[Backup, ...]:
        """Take a snapshot of every set, full whatever is asked for, then expire others."""
        _refuse_without(context)
        if kind is not BackupKind.FULL:
            say(
                f"mongo: a snapshot is always full, there is no {kind} one; "
                "the oplog archive holds what changes between two"
            )
        inplace.refuse_half_restored(context)
        _assert_archived(context)
        with _alone(context, "backup run"):
            _release(context, say)
            storage = settings.place(context).storage()
            storage.sweep()
            self._remove_unfinished(context)
            made = snapshot.take(context, manifest.current(manifest.histories(storage)), say)
            self._expire(context)
        return (_backup(made),)

    def list(self, context: Context) -> tuple[Backup, ...]:
        """The finished snapshots; a damaged one is not good, and says why."""
        _refuse_without(context)
        found = _contents(context)
        good = [_backup(one) for one in found.catalogue.manifests]
        broken = [_broken(one) for one in found.broken]
        return tuple(sorted((*good, *broken), key=lambda one: one.label))

    def windows(self, context: Context) -> tuple[Window, ...]:
        """What can be restored to."""
        _refuse_without(context)
        return planning.windows(_contents(context).catalogue)

    def verify(self, context: Context) -> tuple[Damage, ...]:
        """Read every byte that restores need."""
        _refuse_without(context)
        with suppress(BusyError), _alone(context, "backup verify"):
            _release(context, _silent)
        place = settings.place(context)
        storage, sealer = place.storage(), place.sealer()
        contents = catalogue.load(storage, sealer, _sets(context))
        return tuple(catalogue.verify(storage, sealer, contents))

    def expire(self, context: Context) -> tuple[str, ...]:
        """Remove snapshots beyond those to keep, and the slices that only they needed."""
        _refuse_without(context)
        with _alone(context, "backup expire"):
            self._remove_unfinished(context)
            return self._expire(context)

    def _expire(self, context: Context) -> tuple[str, ...]:
        place = settings.place(context)
        storage = place.storage()
        found = catalogue.load(storage, place.sealer(), _sets(context)).catalogue
        keep = settings.backup(context).repository.retention_full
        old, slices = planning.superfluous(found, keep)
        for label in old:  # its manifest first: half a backup is none
            storage.delete([manifest.manifest_key(label)])
            storage.delete(one.key for one in storage.list(manifest.folder(label)))
        storage.delete(one.key for one in slices)
        return old

    def restore_beside(
        self,
        context: Context,
        target: Target,
        folder: Path,
        say: Say,
        bench: Context | None = None,
    ) -> Restored:
        """All sets, each a server's data folder with what opens it, in an empty folder."""
        place = bench or context
        restoring.refuse_full(folder)
        with _alone(context, "restore mongo"):
            plan = self._plan(context, target, say, bench)
            made = restoring.restore(place, plan, folder, say)
        return _restored(plan, made, folder, restoring.how(place, folder))

    def restore_in_place(self, context: Context, target: Target, say: Say) -> Restored:
        """All members of all sets re-made, and a new history of the archive."""
        began = context.clock.monotonic()
        with _alone(context, "restore mongo"):
            plan = self._plan(context, target, say)
            made = inplace.restore(context, plan, say)
        whole = replace(made, seconds=context.clock.monotonic() - began)
        return _restored(plan, whole, None, IN_PLACE)

    def assert_reachable(self, context: Context, target: Target, say: Say) -> None:
        """Raises InvalidInputError where a restore would be refused."""
        with _alone(context, "restore all"):
            self._plan(context, target, say)

    def _plan(
        self, context: Context, target: Target, say: Say, bench: Context | None = None
    ) -> Plan:
        _refuse_without(context)
        instant = _instant(target)
        _release(context, say)
        _await(context, instant, say)
        return planning.plan(_contents(context, bench).catalogue, instant)

    def _remove_unfinished(self, context: Context) -> None:
        """What a snapshot that was killed has stored."""
        storage = settings.place(context).storage()
        finished = set(manifest.labels(storage))
        storage.delete(
            one.key
            for one in storage.list(f"{manifest.SNAPSHOTS}/")
            if one.key.split("/")[1] not in finished
        )


@contextmanager
def _alone(context: Context, command: str) -> Iterator[None]:
    """One at a time: what a backup that was killed has left is known from what one is at."""
    with exclusive(context.layout.root / LOCK, command, untold=True):
        yield


def _silent(_text: str) -> None:
    pass


def _refuse_without(context: Context) -> None:
    if not settings.backup(context).enabled:
        raise RefusedError(
            "this topology backs no MongoDB up", "set `mongo.backup.enabled`, and `provision`"
        )


def _assert_archived(context: Context) -> None:
    """Raises UnreachableError where no archive goes on from a snapshot that is taken now."""
    wanted = set(_sets(context))

    def begun() -> bool:
        said = [archive.state(context, node) for node in nodes.archivers(context)]
        known = {name: one for state in said if state for name, one in state.sets.items()}
        troubles = [f"{name}: {one.trouble}" for name, one in known.items() if one.trouble]
        behind = archive.lag(known, datetime.now(UTC))
        if not troubles and behind > archive.LATE_SECONDS:
            troubles = [f"it ends {behind:.0f} s ago"]
        if troubles:
            raise UnreachableError(troubles[0])
        return wanted <= set(known)

    try:
        wait_for("the oplog archive", begun, seconds=BEGIN_SECONDS, every=0.2, clock=context.clock)
    except UnreachableError as error:
        hint = "a snapshot without it leads nowhere; see `status`, `logs archiver-1`, `provision`"
        raise UnreachableError(error.message, hint) from error


def _release(context: Context, say: Say) -> None:
    for what in locking.release(context):
        say(f"a backup was killed: {what}")


def _sets(context: Context) -> list[str]:
    return [one.name for one in nodes.replica_sets(context)]


def _contents(context: Context, bench: Context | None = None) -> Contents:
    """What there is; a restore that was cut off began no history yet."""
    place = settings.place(bench or context)
    cut_off = inplace.under_way(context)
    current = cut_off.parent if cut_off else None
    return catalogue.load(place.storage(), place.sealer(), _sets(context), current)


def _instant(target: Target) -> datetime:
    """Raises InvalidInputError for what MongoDB does not have."""
    if target.time is None:
        what = f"LSN {target.lsn}" if target.lsn else f"restore point {target.name}"
        raise InvalidInputError(f"MongoDB knows no {what}", "give a time, with --to")
    if target.time > datetime.now(UTC):
        raise InvalidInputError(f"{target} lies in the future", "give a time that is past")
    return target.time


def _await(context: Context, instant: datetime, say: Say) -> None:
    """Let the archive come to an instant that is hardly past; where it cannot, go on without."""
    reached = _reaches(context, instant)
    if datetime.now(UTC) - instant > RECENT or reached():
        return
    say("waiting for the archive to come so far")
    ask_all(nodes.replica_sets(context), lambda one: _nudge(context, one))
    try:
        wait_for("the archive", reached, seconds=ARCHIVE_SECONDS, every=0.5, clock=context.clock)
    except UnreachableError:
        say("it does not")


def _reaches(context: Context, instant: datetime) -> Callable[[], bool]:
    """Whether every set's archive is past an instant, as the archiver says."""

    def reached() -> bool:
        said = [archive.state(context, node) for node in nodes.archivers(context)]
        return all(
            state is not None and all(one.last.instant >= instant for one in state.sets.values())
            for state in said
        )

    return reached


def _nudge(context: Context, replica_set: SetNodes) -> None:
    """Something to archive, where nothing happens by itself for ten seconds."""
    try:
        with set_client(replica_set, internal(context), seconds=2) as client:
            client.admin.command("appendOplogNote", 1, data={"skillswap-ops": "restore"})
    except OpsError:
        return


ENGINE = MongoBackups()


def _backup(made: Manifest) -> Backup:
    return Backup(
        engine=NAME,
        label=made.label,
        kind=BackupKind.FULL,
        started=made.started,
        stopped=made.stopped,
        bytes_total=sum(part.bytes for part in made.sets.values()),
        bytes_stored=sum(part.stored for part in made.sets.values()),
        repository=REPOSITORY,
        good=True,
    )


def _broken(one: catalogue.Broken) -> Backup:
    try:
        when = datetime.strptime(one.label[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        when = datetime.fromtimestamp(0, UTC)
    return Backup(
        engine=NAME,
        label=one.label,
        kind=BackupKind.FULL,
        started=when,
        stopped=when,
        bytes_total=0,
        bytes_stored=0,
        repository=REPOSITORY,
        good=False,
        problem=one.why,
    )


def _restored(plan: Plan, made: Beside, folder: Path | None, how: str) -> Restored:
    return Restored(
        engine=NAME,
        label=plan.manifest.label,
        reached=plan.instant,
        seconds=made.seconds,
        bytes_restored=made.bytes,
        folder=folder,
        how=how,
    )
