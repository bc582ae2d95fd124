"""Roles and their rights as a table, and how a stored password is told from another."""

from pathlib import Path

import pytest

from postgres import rules, scram
from postgres.access import rule, wrong_passwords
from tests.unit.postgres_samples import context
from tests.unit.topology_samples import topology

# As PostgreSQL 15 stored it for the password "pencil".
STORED = (
    "SCRAM-SHA-256$4096:KLW9OhOT5oBg7PdMPgAbjw==$u1+wW3"
    "zTWBPopUz25GkZbLAXzvH7sTeRM/r1fxKxiAs=:E7u9hC6bSrmh/QijmHmW2yCg6h+sY9ogePQ2audvocY="
)


def test_stored_password_is_recognised() -> None:
    assert scram.matches(STORED, "pencil")
    assert not scram.matches(STORED, "Pencil")


@pytest.mark.parametrize(
    "stored", [None, "", "md5c1f2a6a0e5b2a3c7e5f4f1d2c3b4a596", "pencil", "SCRAM-SHA-256$x:y$z"]
)
def test_anything_else_is_not(stored: str | None) -> None:
    assert not scram.matches(stored, "pencil")


def test_made_verifier_is_salted_and_recognised() -> None:
    one, two = scram.verifier("pencil"), scram.verifier("pencil")
    assert one != two
    assert scram.matches(one, "pencil")
    assert scram.matches(two, "pencil")


def test_wrong_passwords() -> None:
    stored = {"a": STORED, "b": STORED, "c": None}
    wanted = {"a": "pencil", "b": "pen", "c": "pencil", "d": "pencil"}
    assert wrong_passwords(stored, wanted) == ("b", "c", "d")


def test_names_are_quoted() -> None:
    found = rule("x", "SELECT {role_}", "DROP ROLE {role}", role="a\"b'c")
    assert found.holds.as_string() == "SELECT 'a\"b''c'"
    assert found.make[0].as_string() == 'DROP ROLE "a""b\'c"'


def test_one_superuser_and_nobody_else_may_make_roles() -> None:
    every = rules.roles(topology())
    assert [role.name for role in every if role.superuser] == ["postgres"]
    texts = [
        statement.as_string()
        for each in rules.cluster_rules(topology(), ["postgres"])
        for statement in each.make
    ]
    altered = [text for text in texts if text.startswith("ALTER ROLE") and "LOGIN" in text]
    assert len(altered) == len(every)
    for text in altered:
        if '"postgres"' not in text:
            assert "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS" in text


def test_application_reaches_its_own_database_alone() -> None:
    application = next(role for role in rules.roles(topology()) if role.name == "payments_app")
    assert application.databases == ("payments",)
    assert not application.member_of


def test_every_database_is_closed_first() -> None:
    found = [each.what for each in rules.cluster_rules(topology(), ["postgres", "template1"])]
    for database in ("payments", "postgres", "template1"):
        assert f"not everybody may connect to {database}" in found


def test_names_follow_the_database(tmp_path: Path) -> None:
    of = context(tmp_path, {"postgres.database": "shop"})
    assert {"shop_owner", "shop_app"} <= {role.name for role in rules.roles(of.topology)}
