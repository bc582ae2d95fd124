"""`schema apply`, `diff` and `verify` of PostgreSQL: everything that is broken by hand is seen."""

import pytest
from psycopg import sql

from cluster.context import Context
from cluster.plan import Finished, Outcome, execute
from cluster.schema.findings import Outcome as Found
from postgres import names
from postgres.schema.connection import owner_session
from postgres.schema.drift import drift
from postgres.schema.proofs import prove
from postgres.schema.steps import steps
from tests.conftest import Lab
from tests.integration.schema_breaks import MENDED, REFUSED, Break

pytestmark = pytest.mark.servers


@pytest.fixture
def context(shared_lab: Lab) -> Context:
    """The shared lab with the schema as declared; left so."""
    found = shared_lab.context
    apply(found)
    return found


def apply(context: Context, *, prune: bool = False) -> list[Finished]:
    return execute(steps(context, prune=prune), lambda _: None)


def outcomes(ends: list[Finished]) -> list[Outcome]:
    return [end.outcome for end in ends]


def run(context: Context, statements: str) -> None:
    """As a superuser, in the schema."""
    values = {
        "application": sql.Identifier(names.application(context.topology)),
        "monitor": sql.Identifier(names.MONITOR),
    }
    with owner_session(context) as connection:
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL(statements).format(**values))  # type: ignore[arg-type] # constants


def named(text: str, context: Context) -> str:
    return text.format(application=names.application(context.topology))


def drifts(context: Context) -> list[str]:
    return [f"{each.entity} {each.part}" for each in drift(context)]


def red(context: Context) -> list[str]:
    return [
        f"{each.entity} {each.requirement}"
        for each in prove(context)
        if each.outcome is not Found.PASSED
    ]


def seen(context: Context, broken: Break) -> None:
    """Exactly one drift, and exactly the one line."""
    assert drifts(context) == [named(broken.drift, context)]
    lines = red(context)
    if broken.line is None:
        assert lines
        return
    assert len(lines) == bool(broken.line), lines
    assert all(line.startswith(broken.line) for line in lines), lines


@pytest.mark.parametrize("broken", MENDED, ids=[each.drift.strip() for each in MENDED])
def test_is_seen_and_mended(context: Context, broken: Break) -> None:
    run(context, broken.statement)
    try:
        seen(context, broken)
        if broken.prune:  # nobody's additions are removed unasked
            apply(context)
            assert drifts(context) == [broken.drift]
    finally:
        ends = apply(context, prune=broken.prune)
    assert outcomes(ends) == [Outcome.UNCHANGED, Outcome.CHANGED], ends
    assert drifts(context) == []
    assert red(context) == []


@pytest.mark.parametrize(
    ("broken", "undo", "reason"), REFUSED, ids=[each.drift for each, _, _ in REFUSED]
)
def test_is_seen_and_left_alone(context: Context, broken: Break, undo: str, reason: str) -> None:
    run(context, broken.statement)
    try:
        seen(context, broken)
        end = apply(context)[-1]
        assert end.outcome is Outcome.FAILED
        assert reason in str(end.error)
        assert drifts(context) == [broken.drift]
    finally:
        run(context, undo)
    assert drifts(context) == []
