"""Rows that are in order, made from the declarations, for trials that are rolled back."""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import uuid4

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity, Field, Kind, States
from postgres.schema import declared

Value: TypeAlias = object
Row: TypeAlias = dict[str, Value]

BEGIN = datetime(2001, 1, 1, tzinfo=UTC)  # before SkillSwap: no row of anybody's is near


def family(entity: Entity) -> list[tuple[Entity, Row]]:
    """A row of the entity, last, and the rows that it refers to, each after its own."""
    rows: dict[str, tuple[Entity, Row]] = {}

    def add(each: Entity) -> None:
        row = single(each)
        for reference in declared.foreign_keys(each):
            if reference.entity not in rows:
                add(BY_NAME[reference.entity])
            target, parent = rows[reference.entity]
            row[reference.field] = parent[target.key]
        rows[each.name] = (each, row)

    add(entity)
    return list(rows.values())


def single(entity: Entity) -> Row:
    """A row whose references lead nowhere."""
    row = {field.name: _value(field, place) for place, field in enumerate(entity.fields)}
    if entity.states:
        row[entity.states.field] = entity.states.first[0]
    return row


def other(field: Field, value: Value) -> Value:
    """Another value that the field may hold."""
    if field.values:
        return next(word for word in field.values if word != value)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, datetime):
        return value + timedelta(minutes=1)
    return _value(field, 0)


def bad(field: Field) -> Iterator[tuple[str, Value]]:
    """Values that a field must refuse, each with its name."""
    if field.values:
        yield "a word that is none of its", "NI_L_UN_NI_L_AUTRE"
    if field.minimum is not None:
        yield f"{field.minimum - 1:g}", int(field.minimum) - 1
    if field.maximum is not None:
        yield f"{field.maximum + 1:g}", int(field.maximum) + 1
    if field.longest is not None:
        yield f"{field.longest + 1} characters", "é" * (field.longest + 1)
        yield "an empty text", ""


def way_to(states: States, state: str) -> tuple[str, ...]:
    """The states that lead to one, by legal changes, its first state first."""
    after: Mapping[str, tuple[str, ...]] = dict(states.after)
    ways: deque[tuple[str, ...]] = deque((first,) for first in states.first)
    seen = set(states.first)
    while ways:
        way = ways.popleft()
        if way[-1] == state:
            return way
        for following in after[way[-1]]:
            if following not in seen:
                seen.add(following)
                ways.append((*way, following))
    raise ValueError(f"{state} cannot be reached")


def changes(states: States, *, legal: bool) -> tuple[tuple[str, str], ...]:
    """Every change from a state to another one that is legal, or that is not."""
    allowed = dict(states.after)
    return tuple(
        (one, other_state)
        for one in allowed
        for other_state in allowed
        if one != other_state and (other_state in allowed[one]) == legal
    )


def _value(field: Field, place: int) -> Value:
    """A legal value; later fields hold later moments, so that a period ends after it begins."""
    if field.values:
        return field.values[0]
    match field.kind:
        case Kind.ID:
            return uuid4()
        case Kind.DATETIME:
            return BEGIN + timedelta(hours=place)
        case Kind.BOOLEAN:
            return False
        case Kind.INTEGER | Kind.MONEY | Kind.NUMBER:
            return int(field.minimum or 0)
        case _:
            return f"verify {uuid4()}"[: field.longest]
