"""Rules about who may do what: how each is seen to hold, and how it is made to hold.

A rule is one boolean query and the statements that make it true, so that one table is the check,
the repair and the documentation. Passwords travel as SCRAM verifiers only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from postgres import scram
from postgres.client import Connection


@dataclass(frozen=True)
class Rule:
    """One thing that must hold: `holds` is a query for a boolean, `make` what makes it true.

    `holds` names what may not exist yet through `to_regrole` and its kin: null is false.
    """

    what: str
    holds: sql.Composed
    make: tuple[sql.Composed, ...]


def rule(
    what: str, holds: str, *make: str, raw: Mapping[str, str] | None = None, **names: str
) -> Rule:
    """A rule whose SQL names things in braces: `{role}` as an identifier, `{role_}` as a string.

    `raw` is inserted as it stands; like all SQL text here it is a constant of this package.
    """
    fields: dict[str, sql.Composable] = {}
    for name, value in names.items():
        fields[name] = sql.Identifier(value)
        fields[f"{name}_"] = sql.Literal(value)
    for name, value in (raw or {}).items():
        fields[name] = sql.SQL(_constant(value))

    def compose(text: str) -> sql.Composed:
        return sql.SQL(_constant(text)).format(**fields)

    return Rule(what, compose(holds), tuple(map(compose, make)))


def broken(connection: Connection, rules: Sequence[Rule]) -> list[Rule]:
    """The rules that do not hold."""
    return [rule for rule in rules if not _holds(connection, rule)]


def make(connection: Connection, rules: Sequence[Rule]) -> None:
    """Make each rule hold that does not, in their order: later ones build on earlier ones."""
    for rule in rules:
        if not _holds(connection, rule):
            for statement in rule.make:
                connection.execute(statement)


def stored_passwords(connection: Connection) -> dict[str, str | None]:
    """The verifier of every role."""
    return dict(connection.execute("SELECT rolname, rolpassword FROM pg_authid").fetchall())


def wrong_passwords(
    stored: Mapping[str, str | None], passwords: Mapping[str, str]
) -> tuple[str, ...]:
    """The roles whose password is not what it should be."""
    return tuple(
        role
        for role, password in passwords.items()
        if not scram.matches(stored.get(role), password)
    )


def set_password(connection: Connection, role: str, password: str) -> None:
    """Give a role its password."""
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(scram.verifier(password))
        )
    )


def _holds(connection: Connection, rule: Rule) -> bool:
    row = connection.execute(rule.holds).fetchone()
    return bool(row and row[0])


def _constant(text: str) -> Literal[""]:
    """SQL of this package, never of a user: psycopg's types ask for proof."""
    return text  # type: ignore[return-value]
