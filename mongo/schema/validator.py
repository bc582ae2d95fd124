"""An entity as the validator of its collection: pure rendering.

A field that nobody declared is refused (`additionalProperties: false`): that is how personal data
ends up where no retention finds it. A service that needs a new field brings its declaration first.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.schema.types import Entity, Field, Kind

Document = dict[str, Any]

LEVEL = "strict"
ACTION = "error"

WHOLE = ["int", "long"]  # drivers choose by size
MEASURE = ["int", "long", "double"]  # JavaScript's driver sends 4.0 as an int
UUID_LENGTH = 36


def validator(entity: Entity) -> Document:
    """What `create` and `collMod` take as `validator`.

    `_id` holds the text of the field `key`: `$jsonSchema` cannot compare two fields, `$expr` can.
    """
    return {
        "$jsonSchema": json_schema(entity),
        "$expr": {"$eq": ["$_id", f"${entity.key}"]},
    }


def json_schema(entity: Entity) -> Document:
    """The fields, which of them must be there, and nothing else."""
    return {
        "title": entity.name,
        "bsonType": "object",
        "required": ["_id", *(field.name for field in entity.fields if field.required)],
        "additionalProperties": False,
        "properties": {
            "_id": {"bsonType": "string"},
            **{field.name: property_of(field) for field in entity.fields},
        },
    }


def property_of(field: Field) -> Document:
    """What one field may hold."""
    return _RENDERED[field.kind](field)


def _text(field: Field) -> Document:
    if field.values:
        return {"bsonType": "string", "enum": list(field.values)}
    found: Document = {"bsonType": "string"}
    if field.longest is not None:
        found["maxLength"] = field.longest
    if field.pattern is not None:
        found["pattern"] = whole_text(field.pattern)
    return found


def whole_text(pattern: str) -> str:
    r"""The pattern with its last `$` as `\z`: PCRE's `$` also stands before a final line break."""
    ends = pattern.endswith("$") and not pattern.endswith(r"\$")
    return pattern.removesuffix("$") + r"\z" if ends else pattern


def _id(field: Field) -> Document:
    return {**_text(field), "maxLength": UUID_LENGTH}


def _texts(field: Field) -> Document:
    return {"bsonType": "array", "items": _text(field)}


def _numeric(types: list[str]) -> Callable[[Field], Document]:
    def rendered(field: Field) -> Document:
        bounds = {"minimum": field.minimum, "maximum": field.maximum}
        return {
            "bsonType": types,
            **{name: _number(bound) for name, bound in bounds.items() if bound is not None},
        }

    return rendered


def _number(bound: float) -> int | float:
    """5 rather than 5.0: as a person would write it."""
    return int(bound) if float(bound).is_integer() else bound


def _coordinate(limit: int) -> Document:
    return {"bsonType": MEASURE, "minimum": -limit, "maximum": limit}


def _point(_field: Field) -> Document:
    """GeoJSON (RFC 7946, 3.1.2): longitude, then latitude, in degrees."""
    return {
        "bsonType": "object",
        "required": ["type", "coordinates"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": ["Point"]},
            "coordinates": {
                "bsonType": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": [_coordinate(180), _coordinate(90)],
            },
        },
    }


def _plain(kind: str) -> Callable[[Field], Document]:
    return lambda _field: {"bsonType": kind}


_RENDERED: Mapping[Kind, Callable[[Field], Document]] = {
    Kind.ID: _id,
    Kind.STRING: _text,
    Kind.STRINGS: _texts,
    Kind.INTEGER: _numeric(WHOLE),
    Kind.MONEY: _numeric(WHOLE),
    Kind.NUMBER: _numeric(MEASURE),
    Kind.BOOLEAN: _plain("bool"),
    Kind.DATETIME: _plain("date"),
    Kind.POINT: _point,
}
