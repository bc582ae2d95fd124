"""What to do next to a collection, from what is declared and what is there. Pure.

The moves are decided anew after each one, as a replica set's are: so a run that was killed, or one
beside another operator's, goes on from whatever it finds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.schema.types import Entity
from mongo.schema.compare import (
    BRIDGE,
    Indexes,
    Wanted,
    bridge,
    differences,
    in_words,
    sort_out,
)
from mongo.schema.indexes import IndexSpec
from mongo.schema.live import COLLECTION, LiveCollection
from mongo.schema.validator import ACTION, LEVEL, validator


@dataclass(frozen=True)
class Create:
    """Make the collection with its validator."""

    why: str = "collection is missing"


@dataclass(frozen=True)
class Validate:
    """Make the declared validator the one that is enforced."""

    why: str


@dataclass(frozen=True)
class Change:
    """Change an index where it stands, to be found, to expire, or to take duplicates again."""

    index: str
    why: str
    hidden: bool | None = None
    expire_after: int | None = None
    prepared: bool | None = None


@dataclass(frozen=True)
class MakeUnique:
    """Make an index unique where it stands."""

    index: IndexSpec
    why: str


@dataclass(frozen=True)
class Build:
    """Build indexes, all in one scan of the collection."""

    indexes: tuple[IndexSpec, ...]
    why: str


@dataclass(frozen=True)
class Drop:
    """Drop an index."""

    index: str
    why: str


@dataclass(frozen=True)
class Stuck:
    """What a program must not mend."""

    why: str


Move = Create | Validate | Change | MakeUnique | Build | Drop | Stuck


def moves(entity: Entity, found: LiveCollection | None, *, prune: bool) -> tuple[Move, ...]:
    """What is due now, in order; nothing where all is as declared.

    Not all that will be due: what comes after a move follows from what is found then.
    """
    if found is None:
        return (Create(),)
    if found.kind != COLLECTION:
        return (Stuck(f"is a {found.kind}, not a collection"),)
    indexes = sort_out(entity, found.indexes)
    return (
        *(Stuck(f"has {name} {value}, which cannot be changed") for name, value in found.options),
        *_builds(indexes),
        *_mendings(indexes),
        *_leftovers(indexes),
        *(_pruning(indexes) if prune and indexes.complete else ()),
        *_validation(entity, found),
    )


def _builds(indexes: Indexes) -> Iterator[Move]:
    """The unique ones apart: where one meets a duplicate, the others are built all the same.

    An index that is being built is asked for again: the server then waits for that build.
    """
    missing = [one for one in indexes.wanted if not one.ready and not one.blockers]
    plain = tuple(one.declared for one in missing if not one.declared.unique)
    if plain:
        yield Build(plain, _missing(plain))
    for one in missing:
        if one.declared.unique:
            yield Build((one.declared,), _missing((one.declared,)))


def _missing(indexes: tuple[IndexSpec, ...]) -> str:
    names = ", ".join(index.name for index in indexes)
    return f"{names} {'is' if len(indexes) == 1 else 'are'} missing"


def _mendings(indexes: Indexes) -> list[Move]:
    """Drops last: what is in one index's place may be all that serves or guards for another."""
    due = [move for wanted in indexes.wanted for move in _mending(wanted, indexes)]
    return sorted(due, key=lambda move: isinstance(move, Drop))


def _mending(wanted: Wanted, indexes: Indexes) -> Iterator[Move]:
    """Change it where MongoDB can; else build a stand-in, then put the declared one in its place.

    The new index could not get its name while the old one has it, and MongoDB cannot rename one.
    """
    if not wanted.blockers:
        return
    declared = wanted.declared
    if len(wanted.blockers) == 1 and _is_changeable(declared, wanted.blockers[0]):
        yield from _changes(declared, wanted.blockers[0])
        return
    for standing in _stand_ins(wanted, indexes):
        yield from _stands_in(standing, indexes)
        return
    for blocker in wanted.blockers:
        yield Drop(blocker.name, f"{blocker.name} is {blocker.text}, not {declared.text}")


def _stand_ins(wanted: Wanted, indexes: Indexes) -> Iterator[IndexSpec]:
    """What must stand before the blockers go; they may do other declared indexes' work as well.

    An index with the keys of one and the name of another is in the way of both.
    """
    for one in indexes.wanted:
        standing = bridge(one.declared)
        shared = set(one.blockers) & set(wanted.blockers)
        if shared and standing and standing not in indexes.bridges:
            yield standing


def _stands_in(standing: IndexSpec, indexes: Indexes) -> Iterator[Move]:
    """The stand-in; before it what has its name, perhaps an older declaration's."""
    for other in indexes.bridges:
        if other.name == standing.name and replace(other, building=False) != standing:
            yield Drop(other.name, f"{other.name} is {other.text}, not {standing.text}")
            return
    yield Build((standing,), f"{standing.name} is to stand in while another index is rebuilt")


def _is_changeable(declared: IndexSpec, found: IndexSpec) -> bool:
    """Whether collMod leads from the one to the other: it takes neither unique nor TTL away."""
    expires = declared.expire_after is not None or found.expire_after is None
    return (
        expires
        and (declared.unique or not found.unique)
        and _unchangeable(declared) == _unchangeable(found)
    )


def _unchangeable(index: IndexSpec) -> tuple[object, ...]:
    words = (index.weights, index.language, index.override)
    return (index.name, index.keys, words, index.where, index.more, index.building)


def _changes(declared: IndexSpec, found: IndexSpec) -> Iterator[Move]:
    name = declared.name
    if found.hidden:
        yield Change(name, f"{name} is hidden", hidden=False)
    if found.expire_after != declared.expire_after:
        why = f"{name} {_expiry(found)}, not {declared.expire_after} s"
        yield Change(name, why, expire_after=declared.expire_after)
    if declared.unique and not found.unique:
        yield MakeUnique(declared, f"{name} is not unique")
    elif found.prepared:
        yield Change(name, f"{name} refuses new duplicates", prepared=False)


def _expiry(found: IndexSpec) -> str:
    after = found.expire_after
    return "does not expire" if after is None else f"expires after {after} s"


def _leftovers(indexes: Indexes) -> Iterator[Move]:
    """Stand-ins whose index is in place again."""
    rebuilding = {f"{BRIDGE}{one.declared.name}" for one in indexes.wanted if not one.ready}
    for standing in indexes.bridges:
        if standing.name not in rebuilding:
            yield Drop(standing.name, f"{standing.name} stood in for an index that is in place")


def _pruning(indexes: Indexes) -> Iterator[Move]:
    """Only where nothing declared is missing: an undeclared index may be doing its work."""
    for extra in indexes.undeclared:
        yield Drop(extra.name, f"{extra.name} is not declared")


def _validation(entity: Entity, found: LiveCollection) -> Iterator[Move]:
    faults = []
    if found.validator is None:
        faults.append("validator is missing")
    elif differing := differences(validator(entity), found.validator):
        faults.append(f"validator differs: {in_words(differing)[1]}")
    if found.level != LEVEL:
        faults.append(f"validationLevel is {found.level}")
    if found.action != ACTION:
        faults.append(f"validationAction is {found.action}")
    if faults:
        yield Validate("; ".join(faults))
