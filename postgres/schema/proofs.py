"""`schema verify` for PostgreSQL: every requirement of the data model, tried on the live servers.

A requirement is red where the trial says so, and also where a part that it rests on is not the
declared one: no trial finds the one word too many that a loosened CHECK lets in.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from psycopg import sql

from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, UnreachableError
from cluster.schema.catalogue import tables
from cluster.schema.findings import Outcome, Proof
from cluster.schema.types import Entity, Field, Kind, Store
from postgres.client import Connection
from postgres.schema import attempts, declared, promises, runner, trials
from postgres.schema.attempts import Trial
from postgres.schema.connection import owner_session, place
from postgres.schema.drift import Difference, differences, shown
from postgres.schema.snapshot import Part, PartKind

ACTS_ON_ROWS = (PartKind.CONSTRAINT, PartKind.TRIGGER, PartKind.RULE)
VACUUM_SECONDS = 30
SMALL_BYTES = 64 * 1024 * 1024  # of a table that is vacuumed in a moment


@dataclass(frozen=True)
class Requirement:
    """One line: what it says, the parts that it rests on, and what is tried."""

    entity: Entity
    text: str
    rests_on: Callable[[Difference], bool]
    trial: Trial | None = None


def prove(
    context: Context,
    entities: Sequence[Entity] = tables(),
    on_proof: Callable[[Proof], None] = lambda _: None,
) -> tuple[Proof, ...]:
    """Try everything; `on_proof` is told each line as it is known. Nothing stays in the tables.

    What cannot be tried, because a server does not answer, has failed.
    """
    proofs: list[Proof] = []

    def tell(proof: Proof) -> None:
        proofs.append(proof)
        on_proof(proof)

    found, problem = _differences(context)
    tell(problem or Proof(Store.POSTGRES, "", _REVISION, Outcome.PASSED))
    for promise in promises.prove(context, found):
        tell(promise)
    with attempts.application(context) as application:
        for each in (line for entity in entities for line in requirements(entity)):
            tell(_tried(application, each, found, problem))
    return tuple(proofs)


_REVISION = "the schema is at the newest revision"


def requirements(entity: Entity) -> Iterator[Requirement]:
    """Every line about a table."""
    yield from _shape(entity)
    yield from _keys(entity)
    yield from _values(entity)
    yield from _life(entity)
    yield from _queries(entity)


def _shape(entity: Entity) -> Iterator[Requirement]:
    line = partial(Requirement, entity)
    name = declared.table(entity)
    money = [field.name for field in entity.fields if field.kind is Kind.MONEY]
    whole = f" ({', '.join(money)} in whole minor units)" if money else ""
    yield line(f"its columns are of the declared types{whole}", _of(name, PartKind.COLUMN))
    yield line("no column has a default that nobody declared", _of(name, PartKind.DEFAULT))
    yield line(
        "its required fields refuse null", _of(name, PartKind.NULLS), trials.refuses_null(entity)
    )
    yield line(
        "its rows are replicated, and nothing hides them or acts on them unseen",
        lambda each: (
            _of(name, PartKind.PERSISTENCE, PartKind.ROW_SECURITY)(each)
            or (each.declared is None and _of(name, *ACTS_ON_ROWS)(each))
        ),
    )
    yield line(
        "the application reads and writes its rows, and cannot change the table",
        _of(name, PartKind.OWNER, PartKind.GRANTS),
        trials.reads_and_writes(entity),
    )


def _keys(entity: Entity) -> Iterator[Requirement]:
    primary = declared.primary_key(entity)
    yield _by_constraint(
        entity,
        primary,
        f"({entity.key}) refuses a duplicate",
        trials.refuses_duplicate(entity, (entity.key,), primary),
    )
    for index in entity.indexes:
        if index.unique:
            name = declared.index(entity, index)
            yield _by_constraint(
                entity,
                name,
                f"({', '.join(index.fields)}) refuses a duplicate,"
                f" and is used for “{index.serves.what}”",
                trials.both(
                    trials.refuses_duplicate(entity, index.fields, name),
                    trials.is_used(entity, index),
                ),
            )
    for reference in declared.foreign_keys(entity):
        yield _by_constraint(
            entity,
            declared.foreign_key(entity, reference),
            f"{reference.field} refuses an orphan",
            trials.refuses_orphan(entity, reference),
        )


def _values(entity: Entity) -> Iterator[Requirement]:
    for field in declared.checked(entity):
        yield _by_constraint(
            entity,
            declared.check(entity, field.name),
            f"{field.name} is {_bounds(field)}",
            trials.refuses_bad(entity, field),
        )
    for name, begin, end in declared.PERIODS:
        if name == entity.name:
            yield _by_constraint(
                entity,
                declared.check(entity, end),
                f"{end} is after {begin}",
                trials.refuses_period(entity, begin, end),
            )


def _life(entity: Entity) -> Iterator[Requirement]:
    states = entity.states
    if states:
        yield _by_trigger(
            entity,
            declared.first_state(entity),
            f"{states.field} begins as {' or '.join(states.first)}",
            trials.refuses_first_states(entity, states),
        )
        yield _by_trigger(
            entity,
            declared.state_change(entity),
            f"every illegal change of {states.field} is refused",
            trials.changes_state(entity, states, legal=False),
        )
        yield Requirement(
            entity,
            f"every legal change of {states.field} is accepted",
            lambda _: False,
            trials.changes_state(entity, states, legal=True),
        )
    fields = declared.IMMUTABLE.get(entity.name, ())
    if fields:
        yield _by_trigger(
            entity,
            declared.immutable(entity),
            f"{', '.join(fields)} never change",
            trials.keeps(entity, fields),
        )
    if entity.name == "FACTURE":
        yield _by_trigger(
            entity,
            declared.MATCHES_PAYMENT,
            "an invoice is in its payment's currency, and not of more",
            trials.matches_payment(entity),
        )


def _queries(entity: Entity) -> Iterator[Requirement]:
    name = declared.table(entity)
    for index in (each for each in entity.indexes if not each.unique):
        index_name = declared.index(entity, index)
        part = Part(name, PartKind.INDEX, index_name)
        yield Requirement(
            entity,
            f"{index_name} is used for “{index.serves.what}”",
            partial(_is, part),
            trials.is_used(entity, index),
        )


def _by_constraint(entity: Entity, name: str, text: str, trial: Trial) -> Requirement:
    part = Part(declared.table(entity), PartKind.CONSTRAINT, name)
    return Requirement(entity, f"{name}: {text}", partial(_is, part), trial)


def _by_trigger(entity: Entity, name: str, text: str, trial: Trial) -> Requirement:
    part = Part(declared.table(entity), PartKind.TRIGGER, name)
    return Requirement(entity, f"{name}: {text}", partial(_is, part), trial)


def _is(part: Part, difference: Difference) -> bool:
    return difference.part == part


def _of(table: str, *kinds: PartKind) -> Callable[[Difference], bool]:
    return lambda each: each.part.table == table and each.part.kind in kinds


def _bounds(field: Field) -> str:
    if field.values:
        return f"one of {', '.join(field.values)}"
    if field.longest:
        return f"of 1 to {field.longest} characters"
    if field.maximum is None:
        return f"at least {field.minimum:g}"
    return f"from {field.minimum:g} to {field.maximum:g}"


def _differences(context: Context) -> tuple[tuple[Difference, ...], Proof | None]:
    """The drift; or the line that says why it cannot be known, or is of an older revision."""

    def problem(reason: str) -> Proof:
        return Proof(Store.POSTGRES, "", _REVISION, Outcome.FAILED, reason)

    try:
        with owner_session(context) as connection:
            revision = runner.current(connection)
            found = differences(connection, place(context))
            _vacuum_small(connection)
    except OpsError as error:
        return (), problem(error.message)
    if revision != runner.head():
        return found, problem(f"it is at {revision or 'none'}, the newest is {runner.head()}")
    return found, None


def _vacuum_small(connection: Connection) -> None:
    """Let the planner forget that a table was empty: it prefers no index to another there."""
    for entity in tables():
        row = connection.execute(
            "SELECT pg_relation_size(to_regclass(%s))", [declared.table(entity)]
        ).fetchone()
        small = row is not None and row[0] is not None and row[0] < SMALL_BYTES
        if small and attempts.planned_rows(connection, entity) < attempts.FEW_ROWS:
            with suppress(UnreachableError):  # a standby's reader keeps them: then try as it is
                gone = partial(_vacuumed, connection, entity)
                wait_for("old rows to go", gone, seconds=VACUUM_SECONDS, every=0.5)


def _vacuumed(connection: Connection, entity: Entity) -> bool:
    """Vacuum; whether the planner is rid of pages that it believes to be empty.

    Rows that were deleted just now stay until the standbys have said that they see them no more
    (hot_standby_feedback, every 10 s).
    """
    table = declared.table(entity)
    connection.execute(sql.SQL("VACUUM {}").format(sql.Identifier(table)))
    row = connection.execute(
        "SELECT reltuples > 0 OR relpages = 0 FROM pg_class WHERE oid = to_regclass(%s)", [table]
    ).fetchone()
    return row is None or bool(row[0])


def _tried(
    application: attempts.Application,
    requirement: Requirement,
    found: Iterable[Difference],
    problem: Proof | None,
) -> Proof:
    reason = next((_said(each) for each in found if requirement.rests_on(each)), None)
    try:
        tried = application.attempt(requirement.trial) if requirement.trial else None
    except UnreachableError as error:
        tried = error.message
    reason = tried or reason
    if requirement.trial is None and problem:
        reason = reason or problem.reason  # there is no other evidence
    outcome = Outcome.FAILED if reason else Outcome.PASSED
    entity = requirement.entity.name
    return Proof(Store.POSTGRES, entity, requirement.text, outcome, reason or "")


def _said(difference: Difference) -> str:
    drift = shown(difference)
    if drift.found is None:
        return f"{drift.part} is missing"
    if drift.declared is None:
        return f"{drift.part} is not declared: {drift.found}"
    return f"{drift.part} is {drift.found}, declared {drift.declared}"
