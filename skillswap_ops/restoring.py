"""Restores on the local target: folders, the lock, supervision; the engines do the rest."""

from dataclasses import dataclass, replace
from pathlib import Path

import postgres.restore_beside
import postgres.restore_in_place
from cluster.backup.contracts import Restored, Say, Target
from cluster.errors import InvalidInputError, RefusedError
from cluster.local.steps import supervisor_step
from cluster.lock import exclusive
from mongo.backup.engine import ENGINE as MONGO
from postgres import regions
from skillswap_ops import one_instant
from skillswap_ops.integrity import Integrity, Observer, check_references, links
from skillswap_ops.wiring import LocalContext


@dataclass(frozen=True)
class Beside:
    """Where a restore beside the cluster goes, and where its server listens.

    `repository`: from this one alone (0: the first that can).
    """

    folder: Path
    address: str
    port: int
    start: bool
    repository: int = 0


def beside(context: LocalContext, target: Target, wishes: Beside, say: Say) -> Restored:
    """Restore PostgreSQL into a folder, which is made where it is not there."""
    make_folder(context, wishes.folder)
    done = postgres.restore_beside.beside(
        context,
        target,
        wishes.folder,
        say,
        address=wishes.address,
        port=wishes.port,
        repository=wishes.repository,
    )
    if wishes.start:
        postgres.restore_beside.start(
            context, wishes.folder, address=wishes.address, port=wishes.port
        )
        done = replace(done, how=f"it runs\n{done.how}")
    return done


def in_place(context: LocalContext, target: Target, say: Say, repository: int = 0) -> Restored:
    """Put PostgreSQL itself back, holding the cluster's lock."""
    with exclusive(context.layout.lock, "restore pg"):
        regions.refuse_half_done(context.layout)
        ensure_supervision(context)
        return postgres.restore_in_place.in_place(context, target, say, repository)


def mongo_beside(context: LocalContext, target: Target, folder: Path, say: Say) -> Restored:
    """Restore MongoDB into a folder, which is made where it is not there."""
    make_folder(context, folder)
    return MONGO.restore_beside(context, target, folder, say)


def mongo_in_place(context: LocalContext, target: Target, say: Say) -> Restored:
    """Put MongoDB itself back, holding the cluster's lock."""
    with exclusive(context.layout.lock, "restore mongo"):
        ensure_supervision(context)
        return MONGO.restore_in_place(context, target, say)


def whole_second(target: Target) -> Target:
    """What both stores can be put back to. Raises InvalidInputError for anything but a time."""
    if target.time is None:
        raise InvalidInputError(f"MongoDB knows no {target}", "give a time, with --to")
    return Target(time=target.time.replace(microsecond=0))


def all_in_place(
    context: LocalContext, target: Target, say: Say
) -> tuple[tuple[Restored, ...], Integrity | None]:
    """Both stores to one instant, holding the cluster's lock; then what refers to nothing.

    MongoDB is asked first, PostgreSQL refuses before it touches anything: a target that one of
    them cannot reach changes neither. No integrity where the schema was not applied then.
    """
    with exclusive(context.layout.lock, "restore all"):
        return both_in_place(context, target, say)


def both_in_place(
    context: LocalContext, target: Target, say: Say
) -> tuple[tuple[Restored, ...], Integrity | None]:
    """The same, where the caller holds the lock."""
    regions.refuse_half_done(context.layout)
    ensure_supervision(context)
    done = one_instant.put_back(context, target, say)
    say("looking up the references between them")
    try:
        found = check_references(context, links(), Observer(), primary=True)
    except RefusedError as error:
        say(error.message)
        return done, None
    return done, found


def ensure_supervision(context: LocalContext) -> None:
    """supervisord runs, so that members can be stopped and started."""
    step = supervisor_step(context.target, context.clock)
    if not step.check().done:
        step.act()


def make_folder(context: LocalContext, folder: Path) -> None:
    """A folder of the servers' user. Raises InvalidInputError where it cannot be one of theirs."""
    if folder.is_relative_to(context.layout.root):
        raise InvalidInputError(f"{folder} is inside the cluster's own folder", "name another")
    try:
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not folder.exists() or not any(folder.iterdir()):
            context.target.make_folder(folder)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidInputError(f"{folder} is no folder") from error
    closed = [each for each in folder.parents if not _enterable(context, each)]
    if closed:
        raise InvalidInputError(
            f"{closed[-1]} is closed to the servers' user {context.target.user.name}",
            "name a folder that it can enter",
        )


def _enterable(context: LocalContext, folder: Path) -> bool:
    state = folder.stat()
    user = context.target.user
    if not user.name or state.st_uid == user.uid:
        return True
    return bool(state.st_mode & (0o010 if state.st_gid == user.gid else 0o001))
