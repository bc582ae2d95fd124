"""Named places in the WAL, written down in the cluster's state folder: name, place, timeline.

PostgreSQL itself keeps no list of them; without one a restore to a name would have to replay
everything to find out that there is none.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from cluster.context import Context
from cluster.errors import InvalidInputError, OpsError
from cluster.files import write_atomic
from postgres import patroni, wal
from postgres.client import superuser
from postgres.restore_target import RestorePoint
from postgres.scopes import primary_scope

NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")  # PostgreSQL takes up to 63 bytes
QUERY = """
SELECT pg_create_restore_point(%s)::text,
  left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), clock_timestamp()"""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    lsn: str
    timeline: int
    at: datetime


_ROWS = TypeAdapter(list[_Row])


def points(context: Context) -> dict[str, RestorePoint]:
    """Every restore point, by its name, oldest first."""
    rows = _rows(_path(context))
    return {
        row.name: RestorePoint(row.name, wal.lsn(row.lsn), row.timeline, row.at) for row in rows
    }


def mark(context: Context, name: str) -> RestorePoint:
    """Give the place where the WAL now ends a name.

    Raises InvalidInputError for a name that is taken or none; UnreachableError where nobody leads.
    """
    if not NAME.match(name) or "/" in name:
        raise InvalidInputError(
            f"{name!r} cannot be a restore point's name",
            "up to 63 letters, digits, `_`, `.` and `-`",
        )
    rows = _rows(_path(context))
    if any(row.name == name for row in rows):
        raise InvalidInputError(
            f"there is a restore point {name} already", "recovery would stop at the older one"
        )
    with superuser(context, patroni.leader_of(primary_scope(context))) as connection:
        row = connection.execute(QUERY, (name,)).fetchone()
    if row is None:
        raise OpsError("PostgreSQL gave no answer")
    made = _Row(name=name, lsn=row[0], timeline=int(row[1], 16), at=row[2].astimezone(UTC))
    text = _ROWS.dump_json([*rows, made], indent=2).decode()
    write_atomic(_path(context), text, mode=0o600)
    return RestorePoint(name, wal.lsn(made.lsn), made.timeline, made.at)


def _path(context: Context) -> Path:
    return context.layout.root / "restore-points.json"


def _rows(path: Path) -> list[_Row]:
    return _ROWS.validate_json(path.read_bytes()) if path.exists() else []
