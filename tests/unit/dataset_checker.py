"""Holds rows against the declared data model, on its own: it shares no code with the engines."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from cluster.dataset.community import Document, Rows
from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity, Field, Kind, Store

PYTHON = {
    Kind.ID: (str,),
    Kind.STRING: (str,),
    Kind.STRINGS: (list,),
    Kind.INTEGER: (int,),
    Kind.MONEY: (int,),
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.DATETIME: (datetime,),
    Kind.POINT: (dict,),
}


def faults(entity: Entity, rows: Iterable[Document]) -> Iterator[str]:
    """What is wrong with each row by itself."""
    for row in rows:
        for fault in _faults(entity, row):
            yield f"{entity.name} {row.get(entity.key)}: {fault}"


def _faults(entity: Entity, row: Document) -> Iterator[str]:
    mongo = entity.store is Store.MONGO
    extra = set(row) - {field.name for field in entity.fields} - ({"_id"} if mongo else set())
    if extra:
        yield f"undeclared {extra}"
    if mongo and row.get("_id") != row[entity.key]:
        yield "_id is not the key"
    for field in entity.fields:
        held = row.get(field.name)
        if held is None:
            if field.required or (mongo and field.name in row):
                yield f"no {field.name}"
        else:
            yield from (f"{field.name}: {fault} ({held!r})" for fault in _bad(field, held))


def _bad(field: Field, held: object) -> Iterator[str]:
    if type(held) not in PYTHON[field.kind]:
        yield "type"
    elif isinstance(held, list):
        for one in held:
            yield from _bad_text(field, one)
    elif isinstance(held, str):
        yield from _bad_text(field, held)
    elif isinstance(held, (int, float)):
        yield from _bad_number(field, held)
    elif isinstance(held, dict):
        east, north = held["coordinates"]
        if held["type"] != "Point" or not (-180 <= east <= 180 and -90 <= north <= 90):
            yield "no place"


def _bad_number(field: Field, held: float) -> Iterator[str]:
    if field.minimum is not None and held < field.minimum:
        yield "too small"
    if field.maximum is not None and held > field.maximum:
        yield "too large"


def _bad_text(field: Field, held: str) -> Iterator[str]:
    if field.kind is Kind.ID and str(UUID(held)) != held:
        yield "no UUID"
    if field.values and held not in field.values:
        yield "not among the words"
    if field.longest is not None and len(held) > field.longest:
        yield "too long"
    if field.pattern and not re.search(field.pattern, held):
        yield "pattern"


def duplicates(entity: Entity, rows: Rows) -> Iterator[str]:
    """Keys and unique indexes that hold something twice."""
    uniques = [index.fields for index in entity.indexes if index.unique]
    for fields in ((entity.key,), *uniques):
        seen = [tuple(row[field] for field in fields) for row in rows]
        if len(set(seen)) != len(seen):
            yield f"{entity.name}: {', '.join(fields)} twice"


def orphans(rows: dict[str, Rows]) -> Iterator[str]:
    """References that lead nowhere."""
    keys = {name: {row[BY_NAME[name].key] for row in held} for name, held in rows.items()}
    for name, held in rows.items():
        for reference in BY_NAME[name].references:
            for row in held:
                value = row.get(reference.field) or []
                for one in value if isinstance(value, list) else [value]:
                    if one not in keys.get(reference.entity, set()):
                        yield f"{name}.{reference.field} {one}: no such {reference.entity}"
