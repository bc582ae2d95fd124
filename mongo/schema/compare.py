"""Declared beside found: which indexes are as declared, and where a validator differs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.schema.types import Entity
from mongo.schema.indexes import ID_INDEX, IndexSpec, index_specs

# An index that stands in for a declared one while that is rebuilt.
BRIDGE = "ops_bridge_"
SHOWN_DIFFERENCES = 3
SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Wanted:
    """A declared index, and what is there in its place.

    `found` is None where it is missing; `blockers` are other indexes that have its name, or are
    the same index to MongoDB: it cannot be built beside them.
    """

    declared: IndexSpec
    found: IndexSpec | None
    blockers: tuple[IndexSpec, ...]

    @property
    def ready(self) -> bool:
        """Whether it is there as declared, and built."""
        return self.found is not None and not self.found.building


@dataclass(frozen=True)
class Indexes:
    """A collection's indexes, sorted out. `bridges` are all that have a stand-in's name."""

    wanted: tuple[Wanted, ...]
    bridges: tuple[IndexSpec, ...]
    undeclared: tuple[IndexSpec, ...]

    @property
    def complete(self) -> bool:
        """Whether every declared index is there and built."""
        return all(one.ready for one in self.wanted)


def sort_out(entity: Entity, found: Sequence[IndexSpec]) -> Indexes:
    """Which of the found indexes is which."""
    declared = index_specs(entity)
    bridges = tuple(index for index in found if index.name.startswith(BRIDGE))
    ours = {bridge(one) for one in declared}
    others = [one for one in found if one.name != ID_INDEX and _built(one) not in ours]
    wanted = tuple(_wanted(one, others) for one in declared)
    taken = {one.found for one in wanted} | {one for each in wanted for one in each.blockers}
    left = (one for one in others if one not in taken and one not in bridges)
    undeclared = tuple(one for one in left if not _carries_shard_key(entity, one))
    return Indexes(wanted, bridges, undeclared)


def _built(index: IndexSpec) -> IndexSpec:
    return replace(index, building=False)


def _wanted(declared: IndexSpec, found: Sequence[IndexSpec]) -> Wanted:
    same = next((one for one in found if _built(one) == declared), None)
    blockers = tuple(
        one
        for one in found
        if one is not same and (one.name == declared.name or one.identity == declared.identity)
    )
    return Wanted(declared, same, () if same else blockers)


def _carries_shard_key(entity: Entity, index: IndexSpec) -> bool:
    """A segment that is spread needs it; a shard key that is not hashed has its declared index."""
    key = entity.shard_key
    if key is None or not key.hashed:
        return False
    return index.keys == tuple((field, "hashed") for field in key.fields)


def bridge(declared: IndexSpec) -> IndexSpec | None:
    """What can stand beside the old and the new index, serve the same queries and keep uniqueness.

    None for a text index: a collection has one at most. A unique one gets a filter that every
    document passes which has the field, another one `_id` behind its keys; so MongoDB takes it for
    another index.
    """
    name = f"{BRIDGE}{declared.name}"
    if declared.is_text:
        return None
    if declared.unique:
        return replace(declared, name=name, where=declared.keys[0][0])
    return IndexSpec(name, (*declared.keys, ("_id", 1)))


# Validators


@dataclass(frozen=True)
class Difference:
    """A rule that differs; None where it is not there on that side."""

    path: str
    declared: str | None
    found: str | None


def differences(declared: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    """Where the validators differ, rule by rule."""
    return list(_differences((), declared, found))


def _differences(path: tuple[str, ...], declared: object, found: object) -> Iterator[Difference]:
    if isinstance(declared, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys((*declared, *found)):
            step = path if name in {"$jsonSchema", "properties"} else (*path, name)
            yield from _differences(step, declared.get(name, ABSENT), found.get(name, ABSENT))
    elif declared != found or isinstance(declared, bool) is not isinstance(found, bool):
        yield Difference(".".join(path), _shown(declared), _shown(found))


class _Absent:
    """Not there; no value of BSON."""


ABSENT = _Absent()


def _shown(value: object) -> str | None:
    if value is ABSENT:
        return None
    text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def in_words(found: Sequence[Difference]) -> tuple[str, str]:
    """What is declared and what is found, each in one line; the first few of many."""
    some, more = found[:SHOWN_DIFFERENCES], len(found) - SHOWN_DIFFERENCES
    rest = f"; and {more} more" if more > 0 else ""
    declared = "; ".join(f"{one.path}: {one.declared or 'no rule'}" for one in some)
    live = "; ".join(f"{one.path}: {one.found or 'no rule'}" for one in some)
    return declared + rest, live + rest
