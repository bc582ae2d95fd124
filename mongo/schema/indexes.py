"""Indexes as values: what an entity declares, and what a server says of one. Pure.

Names are MongoDB's own default ones (`id_cible_1_cree_le_-1`): what a person would guess, stable
as long as the keys are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cluster.schema.types import Entity, Index, Key, Order

Document = Mapping[str, Any]

ID_INDEX = "_id_"
TEXT = "text"
# Skills are named in French and in English, often both in one label ("cours de jazz piano"). A
# language would stem the words of one and mistreat the other's; "none" keeps every word, still
# without regard to case and accents. No collection has a field named as the server's default
# override, `language`, and the validators refuse one.
TEXT_LANGUAGE = "none"
LANGUAGE_OVERRIDE = "language"

DIRECTIONS: Mapping[Order, int | str] = {
    Order.ASCENDING: 1,
    Order.DESCENDING: -1,
    Order.TEXT: TEXT,
    Order.SPHERE: "2dsphere",
}


@dataclass(frozen=True)
class IndexSpec:
    """An index of MongoDB.

    `keys` are its fields and directions in order (a text index's words among them, by name),
    `expire_after` is in seconds, `weights` and `language` are a text index's. `prepared` refuses
    new duplicates on the way to being unique (`prepareUnique`). `where` is the field that a
    document must have to be in it. `more` are options that no declaration has, as text: sparse,
    collation, another partial filter. `building` is one that is not ready yet.
    """

    name: str
    keys: tuple[tuple[str, int | str], ...]
    unique: bool = False
    expire_after: int | None = None
    weights: tuple[tuple[str, int], ...] = ()
    language: str | None = None
    override: str | None = None
    hidden: bool = False
    prepared: bool = False
    where: str | None = None
    building: bool = False
    more: tuple[tuple[str, str], ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it searches words; a collection has one such index at most."""
        return any(direction == TEXT for _, direction in self.keys)

    @property
    def definition(self) -> "IndexSpec":
        """The same without its name."""
        return replace(self, name="")

    @property
    def identity(self) -> tuple[object, ...]:
        """What two indexes of a collection may not share, whatever their names.

        MongoDB compares keys, collation, partial filter and, since 5.0, `unique` and `sparse`
        (IndexDescriptor::compareIndexOptions).
        """
        apart = {"sparse", "collation", "partialFilterExpression"}
        told = tuple((name, value) for name, value in self.more if name in apart)
        return (TEXT if self.is_text else (self.keys, self.unique, self.where, told),)

    @property
    def document(self) -> dict[str, Any]:
        """What `createIndexes` takes. `more` is not rendered: no declaration has any."""
        options = {
            "unique": self.unique or None,
            "expireAfterSeconds": self.expire_after,
            "weights": dict(self.weights) or None,
            "default_language": self.language,
            "language_override": self.override,
            "partialFilterExpression": {self.where: {"$exists": True}} if self.where else None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return {"name": self.name, "key": dict(self.keys), **given}

    @property
    def text(self) -> str:
        """For people: "{courriel: 1}, unique"."""
        keys = ", ".join(f"{field}: {direction}" for field, direction in self.keys)
        weights = ", ".join(f"{field}: {weight}" for field, weight in self.weights if weight != 1)
        said = [
            f"{{{keys}}}",
            "unique" * self.unique,
            f"expires after {self.expire_after} s" if self.expire_after is not None else "",
            f"weights {{{weights}}}" * bool(weights),
            f"language {self.language}" if self.language else "",
            f"override {self.override}" * (self.override not in {None, LANGUAGE_OVERRIDE}),
            "hidden" * self.hidden,
            "refuses new duplicates" * self.prepared,
            f"where {self.where} exists" if self.where else "",
            "being built" * self.building,
            *(f"{name} {value}" for name, value in self.more),
        ]
        return ", ".join(filter(None, said))


def index_specs(entity: Entity) -> tuple[IndexSpec, ...]:
    """The declared indexes; `_id`'s own comes by itself."""
    return tuple(index_spec(index) for index in entity.indexes)


def index_spec(index: Index) -> IndexSpec:
    """One declared index."""
    keys = tuple((key.field, DIRECTIONS[key.order]) for key in index.keys)
    words = _words(index.keys)
    return IndexSpec(
        name="_".join(f"{field}_{direction}" for field, direction in keys),
        keys=keys,
        unique=index.unique,
        expire_after=index.expire_after,
        weights=tuple((word, 1) for word in words),
        language=TEXT_LANGUAGE if words else None,
        override=LANGUAGE_OVERRIDE if words else None,
    )


def _words(keys: tuple[Key, ...]) -> list[str]:
    return sorted(key.field for key in keys if key.order is Order.TEXT)


# What a server says

_SHOWN = {"name", "key", "unique", "expireAfterSeconds", "weights", "default_language"}
_SHOWN |= {"language_override", "hidden", "prepareUnique"}
_PARTIAL = "partialFilterExpression"
# Formats that the server chooses, and what old clients sent.
_IGNORED = {"v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion", "buildUUID"}


def parse_index(spec: Document, *, building: bool = False) -> IndexSpec:
    """One entry of listIndexes, or the `spec` of one of $indexStats."""
    weights = tuple((field, int(weight)) for field, weight in sorted(_weights(spec).items()))
    expire_after = spec.get("expireAfterSeconds")
    where = _where(spec.get(_PARTIAL))
    known = _SHOWN | _IGNORED | ({_PARTIAL} if where else set())
    more = {name: value for name, value in spec.items() if name not in known}
    return IndexSpec(
        name=str(spec["name"]),
        keys=_parse_keys(spec["key"], [field for field, _ in weights]),
        unique=bool(spec.get("unique")),
        expire_after=_seconds(expire_after),
        weights=weights,
        language=spec.get("default_language"),
        override=spec.get("language_override"),
        hidden=bool(spec.get("hidden")),
        prepared=bool(spec.get("prepareUnique")),
        where=where,
        building=building,
        more=tuple((name, _shown(value)) for name, value in sorted(more.items())),
    )


def _weights(spec: Document) -> Document:
    found: Document = spec.get("weights", {})
    return found


def _parse_keys(key: Document, words: list[str]) -> tuple[tuple[str, int | str], ...]:
    """The server keeps a text index's words in its weights, and `_fts`, `_ftsx` in their place."""
    keys: list[tuple[str, int | str]] = []
    for field, direction in key.items():
        if field == "_fts":
            keys += [(word, TEXT) for word in words]
        elif field != "_ftsx":
            keys.append((field, direction if isinstance(direction, str) else int(direction)))
    return tuple(keys)


def _where(filtered: object) -> str | None:
    """The field of the one partial filter that we make."""
    if isinstance(filtered, Mapping) and len(filtered) == 1:
        [(field, condition)] = filtered.items()
        return str(field) if condition == {"$exists": True} else None
    return None


def _seconds(value: object) -> int | None:
    """-1 for what is no number (NaN is what old servers took, and it removes everything)."""
    if value is None:
        return None
    if isinstance(value, int | float) and value == value:  # noqa: PLR0124 - NaN is not itself
        return int(value)
    return -1


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
