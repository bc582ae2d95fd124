"""Documents that prove something: made up, recognisable, removed afterwards. Pure.

A probe's ids begin with `PREFIX`, or with `EXPIRED` where the TTL monitor is to remove it. Their
third group has 0 where every UUID of RFC 9562 has its version: no real document has such an id, so
that removing probes by it never touches one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from cluster.schema.types import Entity, Field, Index, Kind
from cluster.schema.words import UUID_PATTERN

Document = dict[str, Any]

PREFIX = "0b5e55ed-5c4e-0000-"
EXPIRED = "0b5e55ed-5c4e-0001-"
# Ranges of the index on `_id`.
PROBES: Mapping[str, Any] = {"_id": {"$gte": PREFIX, "$lt": EXPIRED}}
ALL_PROBES: Mapping[str, Any] = {"_id": {"$gte": PREFIX, "$lt": "0b5e55ed-5c4e-0002-"}}

UNKNOWN_FIELD = "champ_non_declare"
OTHER_WORD = "AUTRE_CHOSE"
PLACE = {"type": "Point", "coordinates": [2.3522, 48.8566]}

# For each pattern of the catalogue, a value that fits, from twelve digits.
PATTERNS: Mapping[str, Callable[[str], str]] = {
    UUID_PATTERN: lambda digits: f"{PREFIX}0000-{digits}",
    r"^[^@\s]+@[^@\s]+\.[^@\s]+$": lambda digits: f"sonde-{digits}@exemple.invalid",
    r"^\+[1-9][0-9]{6,14}$": lambda digits: f"+999{digits[1:]}",  # no country has +999
    "^[0-9]{4}-(0[1-9]|1[0-2])$": lambda digits: f"{digits[:4]}-12",
}


class Maker:
    """Makes the values of one run's probes; each text and id is used once."""

    def __init__(self, random: Random, now: datetime) -> None:
        self._random, self.now = random, now

    def digits(self) -> str:
        """Twelve decimal digits."""
        return f"{self._random.randrange(10**12):012}"

    def id(self, prefix: str = PREFIX) -> str:
        """A probe's id."""
        return f"{prefix}{self._random.randrange(16**4):04x}-{self._random.randrange(16**12):012x}"

    def value(self, field: Field) -> object:
        """A value that the declaration allows."""
        return _MADE[field.kind](self, field)

    def document(self, entity: Entity) -> Document:
        """A document with every field."""
        made = {field.name: self.value(field) for field in entity.fields}
        return {"_id": made[entity.key], **made}

    def bare(self, entity: Entity) -> Document:
        """A document with what is required and nothing else."""
        required = {"_id", *(field.name for field in entity.fields if field.required)}
        return {name: value for name, value in self.document(entity).items() if name in required}

    def sharing(self, entity: Entity, source: Document, fields: tuple[str, ...]) -> Document:
        """A document of its own `_id` that has these fields of `source`."""
        return self.document(entity) | {name: source[name] for name in fields}

    def text(self, field: Field) -> str:
        """One of the words, what fits the pattern, or free text."""
        if field.values:
            return field.values[0]
        if field.pattern is not None:
            return self.id() if field.kind is Kind.ID else PATTERNS[field.pattern](self.digits())
        return f"sonde {self.digits()}"[: field.longest]

    def instant(self) -> datetime:
        """Now, to the millisecond that MongoDB keeps, and never twice the same."""
        self.now += timedelta(milliseconds=1)
        return self.now.replace(microsecond=self.now.microsecond // 1000 * 1000)


_MADE: Mapping[Kind, Callable[[Maker, Field], object]] = {
    Kind.ID: Maker.text,
    Kind.STRING: Maker.text,
    Kind.STRINGS: lambda maker, field: [maker.text(field)],
    Kind.INTEGER: lambda _maker, field: int(field.minimum or 0),
    Kind.MONEY: lambda _maker, field: int(field.minimum or 0),
    Kind.NUMBER: lambda _maker, field: float(field.minimum or 0),
    Kind.BOOLEAN: lambda _maker, _field: True,
    Kind.DATETIME: lambda maker, _field: maker.instant(),
    Kind.POINT: lambda _maker, _field: PLACE,
}


# What an index must tell apart


def crowd(maker: Maker, entity: Entity, index: Index, target: Document) -> list[Document]:
    """Documents that almost answer the index's query: each differs in one compared field.

    Without them the server's planner sees plans over other indexes do as well on an empty
    collection, and takes any: a tie would decide the proof.
    """
    equal = index.serves.equal
    return [
        maker.sharing(entity, target, tuple(one for one in equal if one != name))
        | {name: other_value(entity.field(name), target[name], maker)}
        for name in equal
    ]


def other_value(field: Field, value: object, maker: Maker) -> object:
    """A value of the field that is not this one."""
    if field.values:
        words = value if isinstance(value, list) else [value]
        word = next((word for word in field.values if word not in words), OTHER_WORD)
        return [word] if isinstance(value, list) else word
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return next(made for made in iter(partial(maker.value, field), None) if made != value)


def duplicate(maker: Maker, entity: Entity, index: Index, target: Document) -> Document:
    """A document that differs from `target` in everything but the index's fields."""
    made = maker.sharing(entity, target, index.fields)
    return {**made, "_id": maker.id()}


def expired(maker: Maker, entity: Entity, index: Index) -> Document:
    """A document that the TTL index should have removed an hour ago."""
    age, own = timedelta(seconds=index.expire_after or 0, hours=1), maker.id(EXPIRED)
    due = maker.instant() - age
    return maker.document(entity) | {"_id": own, entity.key: own, index.fields[0]: due}


# What a validator must refuse


@dataclass(frozen=True)
class Bad:
    """A document that breaks one rule."""

    what: str
    document: Document


def bad_documents(maker: Maker, entity: Entity) -> tuple[Bad, ...]:
    """One for each rule of each field, and for the rules of the whole document."""
    return (
        *(bad for field in entity.fields for bad in _bad_fields(maker, entity, field)),
        Bad("an undeclared field", maker.document(entity) | {UNKNOWN_FIELD: 1}),
        Bad(f"_id is not {entity.key}", maker.document(entity) | {"_id": maker.id()}),
    )


def _bad_fields(maker: Maker, entity: Entity, field: Field) -> list[Bad]:
    found = [
        Bad(f"{field.name}: {what}", _with(maker.document(entity), entity, field, value))
        for what, value in bad_values(maker, field)
    ]
    if field.required:
        made = maker.document(entity)
        del made[field.name]
        found.append(Bad(f"{field.name}: missing", made))
    return found


def _with(document: Document, entity: Entity, field: Field, value: object) -> Document:
    """A bad text in the key is in `_id` too, or it would be refused for their difference alone.

    What is no text cannot be there: that the key is text follows from `_id` being one.
    """
    same = field.name == entity.key and isinstance(value, str)
    return document | {field.name: value} | ({"_id": value} if same else {})


def bad_values(maker: Maker, field: Field) -> list[tuple[str, object]]:
    """Values that break one rule each, with the rule's name."""
    found: list[tuple[str, object]] = [("null", None), ("wrong type", _WRONG_TYPE[field.kind])]
    if field.kind is Kind.STRINGS:
        found += [("wrong type of an element", [7])]
        return found + [(what, [value]) for what, value in _bad_texts(maker, field)]
    if field.kind is Kind.POINT:
        return found + [(f"{what} is no place", value) for what, value in _bad_places()]
    return found + _bad_texts(maker, field) + _bad_numbers(field)


_WRONG_TYPE: Mapping[Kind, object] = {
    Kind.ID: 7,
    Kind.STRING: 7,
    Kind.STRINGS: "one text",
    Kind.INTEGER: 1.5,
    Kind.MONEY: 1.5,
    Kind.NUMBER: "1.5",
    Kind.BOOLEAN: "true",
    Kind.DATETIME: "2026-01-01T00:00:00Z",
    Kind.POINT: "Paris",
}


def _bad_texts(maker: Maker, field: Field) -> list[tuple[str, object]]:
    if field.kind not in {Kind.ID, Kind.STRING, Kind.STRINGS}:
        return []
    found: list[tuple[str, object]] = []
    if field.values:
        found.append(("not one of its words", OTHER_WORD))
    if field.pattern is not None:
        # A probe's prefix, so that an id that got in is still known for a probe.
        found.append(("does not fit its pattern", f"{PREFIX}x" if field.kind is Kind.ID else "x x"))
    if field.longest is not None:
        found += [("too long", text) for text in [_too_long(maker, field)] if text]
    return found


def _too_long(maker: Maker, field: Field) -> str | None:
    """One character too many, of a text that fits the pattern; None where no such text does."""
    sample, longest = maker.text(field), field.longest or 0
    text = sample.rjust(longest + 1, "x")
    fits = field.pattern is None or re.match(field.pattern, text)
    return text if fits else None


def _bad_numbers(field: Field) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    whole = int if field.kind is not Kind.NUMBER else float
    if field.minimum is not None:
        found.append(("too small", whole(field.minimum - 1)))
    if field.maximum is not None:
        found.append(("too large", whole(field.maximum + 1)))
    return found


def _bad_places() -> list[tuple[str, object]]:
    """Broken GeoJSON (RFC 7946): longitude first, in degrees."""
    return [
        ("a line", {"type": "LineString", "coordinates": [[2, 48], [3, 49]]}),
        ("longitude 181", {"type": "Point", "coordinates": [181, 48]}),
        ("latitude -91", {"type": "Point", "coordinates": [2, -91]}),
        ("one coordinate", {"type": "Point", "coordinates": [2]}),
        ("a bare pair", {"coordinates": [2, 48]}),
    ]
