"""What pgBackRest needs on a machine that is no member's: see `BackupEngine.restore_beside`."""

import os
from pathlib import Path

from cluster.context import Context
from cluster.files import write_atomic
from postgres import archive, patroni
from postgres.client import superuser, value
from postgres.scopes import data_folder, primary_scope

CONTROL = Path("global") / "pg_control"


def lay_out(context: Context, bench: Context) -> None:
    """Write its configuration there, and which database its repositories are of. Idempotent.

    `archive-get` asks a data folder which database's WAL is wanted, and before the first restore
    there is none: the primary's control file stands in for one, and no more of it is read.
    Raises UnreachableError where nobody leads.
    """
    node = primary_scope(bench).founder
    conf = bench.layout.conf(node)
    for file in archive.files(bench, node):
        write_atomic(conf / file.name, file.text, mode=0o600)
        _give(conf / file.name, conf)
    with superuser(context, patroni.leader_of(primary_scope(context))) as connection:
        control = bytes(value(connection, "SELECT pg_read_binary_file('global/pg_control')"))
    path = data_folder(bench.layout, node) / CONTROL
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
        _give(folder, conf)
    path.write_bytes(control)
    _give(path, conf)


def _give(path: Path, like: Path) -> None:
    """To the servers' user, whom `like` belongs to."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
