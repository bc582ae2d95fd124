"""What mends a difference while writers go on, or why nothing may do so by itself.

Nothing here waits for a lock for long or rewrites a table: constraints are added without a look at
the rows and then validated, indexes are built beside the writers. Each list may be cut off after
any statement; the next run finds what is left to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from postgres.schema.drift import Difference
from postgres.schema.snapshot import (
    DISABLED,
    INVALID,
    NOT_ENFORCED,
    NOT_VALID,
    SCHEMA,
    Part,
    PartKind,
)

ASIDE = "_remade"


@dataclass(frozen=True)
class Repair:
    """Statements, each a transaction of its own; or the reason why there are none.

    `prunes`: it only removes what nobody declared. `as_superuser`: the owner may not.
    """

    statements: tuple[str, ...] = ()
    refused: str = ""
    prunes: bool = False
    as_superuser: bool = False


def repair(difference: Difference) -> Repair:
    """How a difference is mended."""
    return _REPAIRS[difference.part.kind](difference)


def harmless(difference: Difference) -> bool:
    """Whether what is there, and not declared, changes no answer and refuses no write."""
    plain = (difference.found or "").startswith("CREATE INDEX")
    return difference.part.kind is PartKind.INDEX and difference.declared is None and plain


def _table(difference: Difference) -> Repair:
    if difference.declared is None:
        return Repair(
            refused="nobody declared it, and it may hold data: move it or drop it by hand"
        )
    return Repair(refused="the table is gone: restore it (`skillswap-ops restore`), rows included")


def _relation(difference: Difference) -> Repair:
    what = difference.found or "relation"
    return Repair(refused=f"nobody declared this {what}: move it elsewhere, or drop it by hand")


def _column(difference: Difference) -> Repair:
    if difference.declared is None:
        return Repair(refused="nobody declared it, and it may hold data: drop it by hand")
    if difference.found is None:
        return Repair(refused="the column is gone, and its values with it: restore the table")
    return Repair(
        refused=f"changing it back to {difference.declared} rewrites the table while nobody can"
        " write: do that by hand, in a quiet hour"
    )


def _owner(difference: Difference) -> Repair:
    statement = f"ALTER TABLE {_q(difference.part.table)} OWNER TO {_q(_declared(difference))}"
    return Repair((statement,), as_superuser=True)


def _persistence(difference: Difference) -> Repair:
    return Repair(
        refused="its rows are on no standby, and SET LOGGED rewrites it while nobody can use it:"
        f" ALTER TABLE {_q(difference.part.table)} SET LOGGED, by hand"
    )


def _row_security(difference: Difference) -> Repair:
    return Repair((f"ALTER TABLE {_q(difference.part.table)} DISABLE ROW LEVEL SECURITY",))


def _rule(difference: Difference) -> Repair:
    part = difference.part
    return Repair((f"DROP RULE {_q(part.name)} ON {_q(part.table)}",), prunes=True)


def _nulls(difference: Difference) -> Repair:
    table, column = _q(difference.part.table), _q(difference.part.name)
    if difference.declared == "NULL":
        return Repair((f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL",))
    proof = _q(_aside(difference.part))
    return Repair(
        (
            # With a valid CHECK, SET NOT NULL need not look at the rows under its lock.
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {proof}",
            f"ALTER TABLE {table} ADD CONSTRAINT {proof} CHECK ({column} IS NOT NULL) NOT VALID",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {proof}",
            f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL",
            f"ALTER TABLE {table} DROP CONSTRAINT {proof}",
        )
    )


def _default(difference: Difference) -> Repair:
    column = f"ALTER TABLE {_q(difference.part.table)} ALTER COLUMN {_q(difference.part.name)}"
    declared = _declared(difference)
    return Repair(
        (f"{column} DROP DEFAULT" if declared == "none" else f"{column} SET DEFAULT {declared}",)
    )


def _constraint(difference: Difference) -> Repair:
    part, declared, found = difference.part, difference.declared, difference.found
    table, name = _q(part.table), _q(part.name)
    drop = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    validate = f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
    if declared is None:
        return Repair((drop,), prunes=not _ours(difference))
    if found == declared + NOT_VALID:
        return Repair((validate,))
    if declared.startswith(("PRIMARY KEY", "UNIQUE")):
        return _unique(part, declared, found)
    if found is None:
        add = f"ALTER TABLE {table} ADD CONSTRAINT {name} {declared}{NOT_VALID}"
        return Repair((add, validate))
    aside = _q(_aside(part))
    return Repair(
        (
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {aside}",
            f"ALTER TABLE {table} ADD CONSTRAINT {aside} {declared}{NOT_VALID}",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {aside}",
            f"{drop}; ALTER TABLE {table} RENAME CONSTRAINT {aside} TO {name}",
        ),
        # A constraint whose triggers are switched off is a superuser's doing.
        as_superuser=found.endswith(NOT_ENFORCED),
    )


def _unique(part: Part, declared: str, found: str | None) -> Repair:
    table, name, aside = _q(part.table), _q(part.name), _q(_aside(part))
    kind, _, columns = declared.partition(" (")
    if found is not None and kind == "PRIMARY KEY":
        return Repair(refused="foreign keys rest on it: write a migration")
    swap = f"ALTER TABLE {table} DROP CONSTRAINT {name}; " if found else ""
    return Repair(
        (
            f"DROP INDEX CONCURRENTLY IF EXISTS {aside}",  # of a try that was cut off
            *(() if found else (f"DROP INDEX CONCURRENTLY IF EXISTS {name}",)),
            f"CREATE UNIQUE INDEX CONCURRENTLY {aside} ON {table} ({columns}",
            f"{swap}ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {aside}",
        )
    )


def _index(difference: Difference) -> Repair:
    drop = f"DROP INDEX CONCURRENTLY IF EXISTS {_q(difference.part.name)}"
    if difference.declared is None:
        return Repair((drop,), prunes=not _ours(difference))
    before, index, after = difference.declared.partition("INDEX ")
    return Repair((drop, f"{before}{index}CONCURRENTLY {after}"))


def _function(difference: Difference) -> Repair:
    if difference.declared is None:
        name = difference.part.name
        return Repair((f"DROP FUNCTION {name}",), prunes=True)
    return Repair((difference.declared,))


def _trigger(difference: Difference) -> Repair:
    part = difference.part
    if difference.declared is None:
        return Repair((f"DROP TRIGGER {_q(part.name)} ON {_q(part.table)}",), prunes=True)
    enable = f"ALTER TABLE {_q(part.table)} ENABLE TRIGGER {_q(part.name)}"
    if difference.found == difference.declared + DISABLED:
        return Repair((enable,))
    create = difference.declared.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)
    return Repair((f"{create}; {enable}",))


def _grants(difference: Difference) -> Repair:
    table = _q(difference.part.table)
    holders = [text.partition(": ")[0] for text in (difference.found or "").split("; ")]
    revoke = [
        f"REVOKE ALL ON {table} FROM {holder if holder == 'PUBLIC' else _q(holder)}"
        for holder in holders
        if holder not in {"", "nobody"}
    ]
    role, _, rights = _declared(difference).partition(": ")
    # One transaction: no service finds itself without its rights in between.
    return Repair(("; ".join([*revoke, f"GRANT {rights} ON {table} TO {_q(role)}"]),))


def _setting(difference: Difference) -> Repair:
    name, _, whose = difference.part.name.partition(" of ")
    words = whose.split(" in database ")
    role, in_database = words[0].removeprefix("role "), words[1:]
    if whose.startswith("database "):
        target = f"DATABASE {_q(whose.removeprefix('database '))}"
    elif whose == "every role":
        target = "ROLE ALL"
    else:
        target = f"ROLE {_q(role)}" + (f" IN DATABASE {_q(in_database[0])}" if in_database else "")
    return Repair((f"ALTER {target} RESET {name}",), as_superuser=True)


_REPAIRS: Mapping[PartKind, Callable[[Difference], Repair]] = {
    PartKind.TABLE: _table,
    PartKind.RELATION: _relation,
    PartKind.COLUMN: _column,
    PartKind.OWNER: _owner,
    PartKind.PERSISTENCE: _persistence,
    PartKind.ROW_SECURITY: _row_security,
    PartKind.RULE: _rule,
    PartKind.NULLS: _nulls,
    PartKind.DEFAULT: _default,
    PartKind.CONSTRAINT: _constraint,
    PartKind.INDEX: _index,
    PartKind.FUNCTION: _function,
    PartKind.TRIGGER: _trigger,
    PartKind.GRANTS: _grants,
    PartKind.SETTING: _setting,
}


def in_schema(statement: str, schema: str) -> str:
    """The statement for the live schema, where it has to say its name."""
    return statement.replace(SCHEMA, schema)


def _aside(part: Part) -> str:
    """A name for what is built beside a part, until it takes its place."""
    return f"{part.name[:50]}{ASIDE}"


def _ours(difference: Difference) -> bool:
    """Whether a try that was cut off left it behind."""
    half_built = (difference.found or "").endswith(INVALID)
    return half_built or difference.part.name.endswith(ASIDE)


def _declared(difference: Difference) -> str:
    return difference.declared or ""


def _q(name: str) -> str:
    """A name as SQL: whatever was found is quoted, the declared ones too."""
    return '"' + name.replace('"', '""') + '"'
