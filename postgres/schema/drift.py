"""How a live schema differs from the one that the migrations make, part by part."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from cluster.context import Context
from cluster.schema import catalogue
from cluster.schema.findings import Drift
from cluster.schema.types import Store
from postgres import guarantees
from postgres.client import Connection
from postgres.schema import runner
from postgres.schema.connection import Place, look_in, owner_session, place
from postgres.schema.declared import entity_of, table
from postgres.schema.snapshot import Definition, Part, PartKind, Snapshot, read

READ_WRITE = "DELETE, INSERT, SELECT, UPDATE"
# Settings of a role or a database that change what an acknowledged write means, or whether it is
# checked at all. Others (timeouts, work_mem) are the operator's own business.
WATCHED = ("synchronous_commit", "session_replication_role", "default_transaction_read_only")
LONGEST = 160  # characters of a definition that are shown

SETTINGS = """
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS database,
  split_part(s.setting, '=', 1) AS name, split_part(s.setting, '=', 2) AS value
FROM pg_db_role_setting x
LEFT JOIN pg_roles r ON r.oid = x.setrole LEFT JOIN pg_database d ON d.oid = x.setdatabase,
LATERAL unnest(x.setconfig) s(setting)
WHERE (x.setrole = 0 OR r.rolname = %s) AND (x.setdatabase = 0 OR d.datname = current_database())
  AND split_part(s.setting, '=', 1) = ANY (%s)"""


@dataclass(frozen=True)
class Difference:
    """A part that is not the same on both sides; None where it is missing."""

    part: Part
    declared: str | None
    found: str | None


def drift(context: Context) -> tuple[Drift, ...]:
    """Every difference between the live schema and the declared one; changes nothing.

    Raises UnreachableError where nobody leads, RefusedError where the database was made by a newer
    version of this program or never provisioned.
    """
    with owner_session(context) as connection:
        revision = runner.current(connection)
        found = differences(connection, place(context))
    rows = [shown(each) for each in found]
    if revision != runner.head():
        rows.insert(0, Drift(Store.POSTGRES, "", "revision", runner.head(), revision))
    return tuple(rows)


def differences(connection: Connection, where: Place) -> tuple[Difference, ...]:
    """The differences, in the order in which they are mended."""
    live = {**read(connection, where.schema), **_settings(connection, where)}
    shadow = f"shadow_{uuid4().hex}"
    with runner.shadow(connection, shadow):
        declared = read(connection, shadow)
    look_in(connection, where.schema)
    return compare(with_grants(declared, where.application), live)


def with_grants(declared: Snapshot, application: str) -> Snapshot:
    """The declaration with the rights of the application, which the shadow's tables do not have."""
    ours = {table(entity) for entity in catalogue.tables()}
    return {
        part: (
            Definition(f"{application}: {READ_WRITE if part.table in ours else 'SELECT'}")
            if part.kind is PartKind.GRANTS
            else definition
        )
        for part, definition in declared.items()
    }


def compare(declared: Snapshot, live: Snapshot) -> tuple[Difference, ...]:
    """One difference for each cause: what is gone with its table or column is not named again."""
    different = {part for part in declared.keys() | live.keys() if _differs(declared, live, part)}
    gone = _one_sided(declared, live, PartKind.TABLE)
    tables = {part.table for part in gone}
    columns = _one_sided(declared, live, PartKind.COLUMN)
    lost = {(part.table, part.name) for part in columns}

    def follows(part: Part) -> bool:
        if part.table in tables:
            return part not in gone
        if part.kind in {PartKind.NULLS, PartKind.DEFAULT}:
            return (part.table, part.name) in lost
        if part.kind is PartKind.GRANTS:  # a new owner's rights are not grants any more
            return Part(part.table, PartKind.OWNER) in different
        definition = declared.get(part)
        if part in live or definition is None:
            return False
        # Dropping a column takes with it what is made of it.
        return any((part.table, column) in lost for column in definition.columns)

    order = list(PartKind)
    return tuple(
        Difference(part, _text(declared, part), _text(live, part))
        for part in sorted(different, key=lambda part: (order.index(part.kind), part))
        if not follows(part) and not _half_built(part, declared, live)
    )


def shown(difference: Difference) -> Drift:
    """For the operator: one short line a side, beginning near to where they differ."""
    part = difference.part
    label = {PartKind.NULLS: "nullability of column", PartKind.DEFAULT: "default of column"}
    name = f"{label.get(part.kind, part.kind.value)} {part.name}".strip()
    declared, found = _excerpts(difference.declared, difference.found)
    return Drift(Store.POSTGRES, entity_of(part.table), name, declared, found)


def _settings(connection: Connection, where: Place) -> Snapshot:
    """Settings of the application's sessions that are not the declared guarantee."""
    rows = connection.execute(SETTINGS, [where.application, list(WATCHED)]).fetchall()
    harmless = {("synchronous_commit", guarantees.synchronous_commit())}
    return {
        Part("", PartKind.SETTING, f"{name} of {_whose(role, database)}"): Definition(value)
        for role, database, name, value in rows
        if (name, value) not in harmless
    }


def _whose(role: str, database: str) -> str:
    if role and database:
        return f"role {role} in database {database}"
    return f"role {role}" if role else f"database {database}" if database else "every role"


def _differs(declared: Snapshot, live: Snapshot, part: Part) -> bool:
    return _text(declared, part) != _text(live, part)


def _text(side: Mapping[Part, Definition], part: Part) -> str | None:
    definition = side.get(part)
    return definition.text if definition else None


def _one_sided(declared: Snapshot, live: Snapshot, kind: PartKind) -> set[Part]:
    return {part for part in declared.keys() ^ live.keys() if part.kind is kind}


def _half_built(part: Part, declared: Snapshot, live: Snapshot) -> bool:
    """The index from which a declared unique constraint is being made: not a cause of its own."""
    constraint = Part(part.table, PartKind.CONSTRAINT, part.name)
    return (
        part.kind is PartKind.INDEX
        and part not in declared
        and constraint in declared
        and constraint not in live
    )


def _excerpts(declared: str | None, found: str | None) -> tuple[str | None, str | None]:
    one, other = _squeezed(declared), _squeezed(found)
    if one is None or other is None:
        return _cut(one, 0), _cut(other, 0)
    same = _common(one, other)
    begin = 0 if max(len(one), len(other)) <= LONGEST else max(0, same - LONGEST // 4)
    return _cut(one, begin), _cut(other, begin)


def _squeezed(text: str | None) -> str | None:
    return " ".join(text.split()) if text is not None else None


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same


def _cut(text: str | None, begin: int) -> str | None:
    if text is None:
        return None
    cut = text[begin : begin + LONGEST]
    return ("…" if begin else "") + cut + ("…" if begin + LONGEST < len(text) else "")
