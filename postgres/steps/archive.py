"""The steps of the WAL archive: the stanza, the proof, the first full backup."""

from cluster.context import Context
from cluster.errors import OpsError
from cluster.objects import BUCKETS_STEP
from cluster.plan import Finding, Step, done, todo
from cluster.topology import ObjectsRepository
from postgres import backup, names, patroni
from postgres.client import superuser, value
from postgres.scopes import Scope
from postgres.steps.common import RIGHTS

STANZA = "WAL archive stanza"
CHECK = "WAL archive check"
BACKUP = "full backup"


def steps(context: Context, scope: Scope) -> tuple[Step, ...]:
    """The steps of the archive of the scope that takes the writes."""
    return (_stanza(context, scope), _check(context, scope), _backup(context, scope))


def _stanza(context: Context, scope: Scope) -> Step:
    def check() -> Finding:
        leader = patroni.leader_of(scope)
        with superuser(context, leader) as connection:
            system_id = value(connection, "SELECT system_identifier FROM pg_control_system()")
        found = backup.repositories(context, leader)
        for each in found.each:
            if each.exists and each.system_id != system_id:
                raise OpsError(
                    f"repository {each.number} of the archive belongs to another database cluster "
                    f"({each.system_id})",
                    "give this one a repository path of its own, or move the old archive away",
                )
        if not found.exists:
            where = " and ".join(f"repository {each.number}" for each in found.missing)
            return todo(f"{where or 'the archive'} does not know this database cluster yet")
        return done("the archive knows this database cluster")

    return Step(
        STANZA,
        names.ARCHIVE,
        "prepare the archive",
        check,
        lambda: backup.create_stanza(context, patroni.leader_of(scope)),
        (RIGHTS, *_stores(context)),
    )


def _stores(context: Context) -> tuple[str, ...]:
    """The step that makes the buckets of the local object store, where a repository is in one."""
    kinds = context.topology.archive.repositories
    local = any(isinstance(repository, ObjectsRepository) for repository in kinds)
    return (BUCKETS_STEP,) if local else ()


def _check(context: Context, scope: Scope) -> Step:
    def check() -> Finding:
        with superuser(context, patroni.leader_of(scope)) as connection:
            working = value(
                connection,
                "SELECT last_archived_time > coalesce(last_failed_time, '-infinity')"
                " FROM pg_stat_archiver",
            )
        return done("the last segment was archived") if working else todo("not proved yet")

    def act() -> None:
        leader = patroni.leader_of(scope)
        backup.resume(context, leader)
        backup.check(context, leader)

    return Step(
        CHECK,
        names.ARCHIVE,
        "prove that WAL reaches the archive",
        check,
        act,
        (STANZA,),
    )


def _backup(context: Context, scope: Scope) -> Step:
    def check() -> Finding:
        found = backup.repositories(context, patroni.leader_of(scope))
        lacking = found.without("full")
        if lacking or not found.each:
            where = " and ".join(f"repository {number}" for number in lacking)
            return todo(f"there is none in {where or 'the archive'}")
        return done("there is one in every repository")

    def act() -> None:
        leader = patroni.leader_of(scope)
        for number in backup.repositories(context, leader).without("full"):
            backup.take(context, leader, "full", number)

    return Step(
        BACKUP,
        names.ARCHIVE,
        "take a first full backup",
        check,
        act,
        (CHECK,),
    )
