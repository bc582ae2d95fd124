"""Where MongoDB differs from the declarations, in either direction."""

from collections.abc import Iterator, Mapping
from functools import partial

from cluster.context import Context
from cluster.schema import catalogue
from cluster.schema.findings import Drift
from cluster.schema.types import Entity, Store
from mongo.client import Client, ask_all
from mongo.readiness import COLLECTION as READINESS
from mongo.schema import live
from mongo.schema.compare import Wanted, differences, in_words, sort_out
from mongo.schema.live import COLLECTION, LiveCollection
from mongo.schema.validator import ACTION, LEVEL, validator
from mongo.seeding import RECORDS
from mongo.sharding import default_write_concern, segment_places

DRILLS = "drill_"
SERVERS_OWN = "system."


def drift(context: Context) -> tuple[Drift, ...]:
    """Every difference. What drills, readiness, seeding and the server keep for themselves is none.

    Raises InvalidInputError where the topology has no shard for a declared segment, and
    UnreachableError where no router answers.
    """
    shards = {segment: live.shard_of(context, segment) for segment in catalogue.SEGMENTS}
    with live.admin(context) as client:
        places = segment_places(client)
        found = ask_all(
            [segment for segment in shards if segment in places], partial(_of_segment, client)
        )
        return (
            *defaults_drift(context.topology.mongo.write_concern, default_write_concern(client)),
            *places_drift(shards, places),
            *(one for each in found for one in each),
        )


def _of_segment(client: Client, segment: str) -> tuple[Drift, ...]:
    declared = {entity.name: entity for entity in catalogue.collections(segment)}
    return tuple(segment_drift(segment, declared, live.segment(client, segment, declared)))


# Pure


def defaults_drift(declared: int | str, found: int | str | None) -> Iterator[Drift]:
    """The cluster's default write concern, for clients that ask for none."""
    if found != declared:
        yield _drift("", "default write concern", f"w: {declared}", f"w: {found}" * bool(found))


def places_drift(shards: Mapping[str, str], places: Mapping[str, str]) -> Iterator[Drift]:
    """Segments that are not on the shard which the topology names."""
    for segment, shard in shards.items():
        if places.get(segment) != shard:
            found = f"on {places[segment]}" if segment in places else ""
            yield _drift("", f"segment {segment}", f"on {shard}", found)


def segment_drift(
    segment: str, declared: Mapping[str, Entity], found: Mapping[str, LiveCollection]
) -> Iterator[Drift]:
    """A segment's collections, missing, undeclared and different ones."""
    for name, entity in declared.items():
        if name in found:
            yield from collection_drift(entity, found[name])
        else:
            yield _drift(name, "collection", f"in {segment}", "")
    for name, extra in found.items():
        if name not in declared and not is_ours(name):
            yield _drift(name, "collection", "", f"{extra.kind} in {segment}")


def is_ours(name: str) -> bool:
    """Whether a collection is a drill's, the readiness proof's, seeding's, or the server's own."""
    return name in {READINESS, RECORDS} or name.startswith((DRILLS, SERVERS_OWN))


def collection_drift(entity: Entity, found: LiveCollection) -> Iterator[Drift]:
    """What of a declared collection is different."""
    if found.kind != COLLECTION:
        yield _drift(entity.name, "collection", COLLECTION, found.kind)
        return
    yield from (_drift(entity.name, name, "", value) for name, value in found.options)
    yield from _validation_drift(entity, found)
    yield from _index_drift(entity, found)


def _validation_drift(entity: Entity, found: LiveCollection) -> Iterator[Drift]:
    wanted = validator(entity)
    if found.validator is None:
        yield _drift(entity.name, "validator", f"{len(entity.fields)} fields", "")
    elif differing := differences(wanted, found.validator):
        yield _drift(entity.name, "validator", *in_words(differing))
    if found.level != LEVEL:
        yield _drift(entity.name, "validationLevel", LEVEL, found.level)
    if found.action != ACTION:
        yield _drift(entity.name, "validationAction", ACTION, found.action)


def _index_drift(entity: Entity, found: LiveCollection) -> Iterator[Drift]:
    indexes = sort_out(entity, found.indexes)
    for wanted in indexes.wanted:
        if not wanted.ready:
            part = f"index {wanted.declared.name}"
            yield _drift(entity.name, part, wanted.declared.text, in_its_place(wanted))
    for extra in (*indexes.bridges, *indexes.undeclared):
        yield _drift(entity.name, f"index {extra.name}", "", extra.text)


def in_its_place(wanted: Wanted) -> str:
    """What is there instead of a declared index; "" for nothing."""
    if wanted.found:
        return wanted.found.text
    return "; ".join(
        one.text if one.name == wanted.declared.name else f"{one.text}, named {one.name}"
        for one in wanted.blockers
    )


def _drift(entity: str, part: str, declared: str, found: str) -> Drift:
    """With "" for what is not there."""
    return Drift(Store.MONGO, entity, part, declared or None, found or None)
