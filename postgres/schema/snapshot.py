"""What a schema is made of, read from PostgreSQL's catalogs as it prints it itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from postgres.client import Connection

SCHEMA = "{schema}"  # stands for the schema's name where a definition has to say it


class PartKind(StrEnum):
    """The kinds of parts, in the order in which they are mended: later ones build on earlier."""

    TABLE = "table"
    RELATION = "relation"
    COLUMN = "column"
    OWNER = "owner"
    PERSISTENCE = "persistence"
    ROW_SECURITY = "row security"
    RULE = "rule"
    NULLS = "nullability"
    DEFAULT = "default"
    CONSTRAINT = "constraint"
    INDEX = "index"
    FUNCTION = "function"
    TRIGGER = "trigger"
    GRANTS = "grants"
    SETTING = "setting"


@dataclass(frozen=True, order=True)
class Part:
    """A part by name; `table` is empty for what belongs to no table."""

    table: str
    kind: PartKind
    name: str = ""


@dataclass(frozen=True)
class Definition:
    """A part as PostgreSQL prints it, and the columns that it goes with when they are dropped."""

    text: str
    columns: frozenset[str] = frozenset()


Snapshot: TypeAlias = Mapping[Part, Definition]

NOT_VALID = " NOT VALID"
NOT_ENFORCED = " (not enforced: its triggers are disabled)"
DISABLED = " (disabled)"
INVALID = " (invalid)"

RELATIONS = """
SELECT c.relname, c.relkind = 'r',
  CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
    WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
  pg_get_userbyid(c.relowner),
  CASE c.relpersistence WHEN 'p' THEN 'logged' ELSE 'unlogged' END,
  CASE WHEN c.relrowsecurity THEN 'on' ELSE 'off' END,
  coalesce((SELECT string_agg(g.who || ': ' || g.what, '; ' ORDER BY g.who) FROM (
    SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END AS who,
      string_agg(e.privilege_type, ', ' ORDER BY e.privilege_type) AS what
    FROM aclexplode(c.relacl) e WHERE e.grantee <> c.relowner GROUP BY 1) g), 'nobody')
FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')"""

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attgenerated <> '' THEN ' generated' WHEN a.attidentity <> '' THEN ' identity'
       ELSE '' END,
  CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END,
  coalesce(pg_get_expr(d.adbin, d.adrelid, true), 'none')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'
  AND a.attnum > 0 AND NOT a.attisdropped"""

CONSTRAINTS = """
SELECT c.relname, n.conname, pg_get_constraintdef(n.oid, true)
    || CASE WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = n.oid
         AND t.tgenabled <> 'O') THEN %(not_enforced)s ELSE '' END,
  ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = n.conrelid AND a.attnum = ANY (n.conkey))
FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
WHERE n.connamespace = %(schema)s::regnamespace AND n.contype IN ('c', 'f', 'p', 'u', 'x')"""

INDEXES = """
SELECT c.relname, x.relname, pg_get_indexdef(i.indexrelid, 0, true)
    || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE %(invalid)s END,
  ARRAY(SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey))
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r' AND NOT EXISTS (
  SELECT FROM pg_constraint n WHERE n.conindid = i.indexrelid AND n.contype IN ('p', 'u', 'x'))"""

TRIGGERS = """
SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid, true)
    || CASE t.tgenabled WHEN 'O' THEN '' ELSE %(disabled)s END,
  ARRAY(SELECT a.attname::text FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
          AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = %(schema)s::regnamespace AND NOT t.tgisinternal"""

RULES = """
SELECT c.relname, r.rulename, pg_get_ruledef(r.oid, true)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'"""

FUNCTIONS = """
SELECT format('%%s(%%s)', p.proname, pg_get_function_identity_arguments(p.oid)),
  pg_get_functiondef(p.oid)
FROM pg_proc p WHERE p.pronamespace = %(schema)s::regnamespace AND p.prokind IN ('f', 'p')"""


def read(connection: Connection, schema: str) -> Snapshot:
    """Every part of the schema that the session looks in; empty where there is no such schema."""
    exists = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", [schema]).fetchone()
    return dict(_parts(connection, schema)) if exists and exists[0] else {}


def ignored(table: str) -> bool:
    """Whether a table is of another kind than the application's: drills make their own."""
    return table.startswith("drill_")


def _parts(connection: Connection, schema: str) -> Iterator[tuple[Part, Definition]]:
    for part, definition in _all_parts(connection, schema):
        if not ignored(part.table):
            yield part, definition


def _all_parts(connection: Connection, schema: str) -> Iterator[tuple[Part, Definition]]:
    def rows(query: str) -> list[tuple[object, ...]]:
        values = {
            "schema": schema,
            "not_enforced": NOT_ENFORCED,
            "invalid": INVALID,
            "disabled": DISABLED,
        }
        used = {name: text for name, text in values.items() if f"%({name})s" in query}
        return connection.execute(query.encode(), used).fetchall()

    yield from _relations(rows(RELATIONS))
    for table, column, kind, nulls, default in rows(COLUMNS):
        yield Part(str(table), PartKind.COLUMN, str(column)), Definition(str(kind))
        yield Part(str(table), PartKind.NULLS, str(column)), Definition(str(nulls))
        yield Part(str(table), PartKind.DEFAULT, str(column)), Definition(str(default))
    for kind, query in (
        (PartKind.CONSTRAINT, CONSTRAINTS),
        (PartKind.INDEX, INDEXES),
        (PartKind.TRIGGER, TRIGGERS),
    ):
        for table, name, text, columns in rows(query):
            of = frozenset(map(str, columns)) if isinstance(columns, list) else frozenset()
            yield Part(str(table), kind, str(name)), Definition(str(text), of)
    for table, name, text in rows(RULES):
        yield Part(str(table), PartKind.RULE, str(name)), Definition(str(text))
    for name, text in rows(FUNCTIONS):
        yield Part("", PartKind.FUNCTION, str(name)), Definition(unqualified(str(text), schema))


def _relations(rows: list[tuple[object, ...]]) -> Iterator[tuple[Part, Definition]]:
    for name, is_table, what, owner, persistence, security, grants in rows:
        if not is_table:
            yield Part(str(name), PartKind.RELATION), Definition(str(what))
            continue
        yield Part(str(name), PartKind.TABLE), Definition("table")
        yield Part(str(name), PartKind.OWNER), Definition(str(owner))
        yield Part(str(name), PartKind.PERSISTENCE), Definition(str(persistence))
        yield Part(str(name), PartKind.ROW_SECURITY), Definition(str(security))
        yield Part(str(name), PartKind.GRANTS), Definition(str(grants))


def unqualified(definition: str, schema: str) -> str:
    """A function's definition that runs in any schema once `SCHEMA` is filled in."""
    first, newline, rest = definition.partition("\n")
    return (
        first.replace(f" {schema}.", " ", 1)
        + newline
        + rest.replace(f"SET search_path TO '{schema}'", f"SET search_path TO '{SCHEMA}'", 1)
    )
