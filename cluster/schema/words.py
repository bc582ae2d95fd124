"""Short forms in which declarations are written."""

from cluster.schema.types import Field, Index, Key, Kind, Order, Query, Reference

UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
LANGUAGES = ("fr", "en")
NAME = 200  # characters
TEXT = 4000


def id_(name: str, *, required: bool = True) -> Field:
    """A primary key, or a reference to one."""
    return Field(name, Kind.ID, required, pattern=UUID_PATTERN)


def string(name: str, *, required: bool = True, longest: int = NAME) -> Field:
    """A text of at most `longest` characters."""
    return Field(name, Kind.STRING, required, longest=longest)


def one_of(name: str, *values: str) -> Field:
    """One of these words."""
    return Field(name, Kind.STRING, values=values)


def some_of(name: str, *values: str) -> Field:
    """A list of these words."""
    return Field(name, Kind.STRINGS, values=values)


def integer(name: str, minimum: int = 0, maximum: int | None = None) -> Field:
    """A whole number."""
    return Field(name, Kind.INTEGER, minimum=minimum, maximum=maximum)


def number(name: str, minimum: float, maximum: float) -> Field:
    """A measure."""
    return Field(name, Kind.NUMBER, minimum=minimum, maximum=maximum)


def flag(name: str) -> Field:
    """Yes or no."""
    return Field(name, Kind.BOOLEAN)


def moment(name: str, *, required: bool = True) -> Field:
    """A point in time."""
    return Field(name, Kind.DATETIME, required)


def point(name: str) -> Field:
    """A place on earth; always optional."""
    return Field(name, Kind.POINT, required=False)


def to(field: str, entity: str) -> Reference:
    """A reference."""
    return Reference(field, entity)


def index(*fields: str, serves: Query) -> Index:
    """An index; `-field` is descending."""
    return Index(_keys(fields), serves)


def unique(*fields: str, serves: Query) -> Index:
    """An index that refuses duplicates."""
    return Index(_keys(fields), serves, unique=True)


def ttl(field: str, seconds: int) -> Index:
    """An index that removes documents `seconds` after `field`."""
    return Index(
        _keys((field,)), Query("what is due for removal", since=field), expire_after=seconds
    )


def text(field: str, serves: str) -> Index:
    """A text index."""
    return Index((Key(field, Order.TEXT),), Query(serves, words=field))


def sphere(field: str, serves: str) -> Index:
    """A geospatial index."""
    return Index((Key(field, Order.SPHERE),), Query(serves, near=field))


def _keys(fields: tuple[str, ...]) -> tuple[Key, ...]:
    return tuple(
        Key(field.removeprefix("-"), Order.DESCENDING if field.startswith("-") else Order.ASCENDING)
        for field in fields
    )
