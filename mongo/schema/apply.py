"""The steps that make MongoDB hold what is declared: one a collection, side by side."""

from cluster.context import Context
from cluster.errors import OpsError
from cluster.plan import Finding, Step, done, todo
from cluster.schema import catalogue
from cluster.schema.types import Entity
from mongo.schema import live
from mongo.schema.compare import sort_out
from mongo.schema.live import LiveCollection
from mongo.schema.mender import Mender
from mongo.schema.moves import moves
from mongo.sharding import (
    Place,
    default_write_concern,
    segment_places,
    set_default_write_concern,
    tell_routers,
)


def steps(context: Context, *, prune: bool) -> tuple[Step, ...]:
    """Everything that `schema apply` does to MongoDB.

    With `prune`, indexes that nobody declared are dropped; collections never are. Raises
    InvalidInputError where the topology has no shard for a declared segment.
    """
    places = [_place_step(context, segment) for segment in catalogue.SEGMENTS]
    collections = [
        _collection_step(context, entity, prune=prune) for entity in catalogue.collections()
    ]
    return (_defaults_step(context), *places, *collections)


def component(segment: str) -> str:
    """The name under which a segment's progress is shown."""
    return f"Schema {segment}"


def _place_name(segment: str) -> str:
    return f"schema segment {segment}"


def _defaults_step(context: Context) -> Step:
    wanted = context.topology.mongo.write_concern

    def check() -> Finding:
        with live.admin(context) as client:
            found = default_write_concern(client)
        return done(f"w: {found}") if found == wanted else todo(f"w: {found}, not {wanted}")

    def act() -> None:
        with live.admin(context) as client:
            set_default_write_concern(client, wanted)
        tell_routers(context)

    return Step(
        name="schema default write concern",
        component="Schema defaults",
        what=f"set the cluster's default write concern to w: {wanted}",
        check=check,
        act=act,
    )


def _place_step(context: Context, segment: str) -> Step:
    """Before `provision` pins a segment, its collections would land on any shard."""
    wanted = live.shard_of(context, segment)

    def check() -> Finding:
        with live.admin(context) as client:
            return Place(segment, segment_places(client).get(segment), wanted).finding

    def act() -> None:
        raise OpsError(f"segment {segment} has no shard yet", "run `provision`, which pins it")

    return Step(
        name=_place_name(segment),
        component=component(segment),
        what=f"segment {segment} lives on {wanted}",
        check=check,
        act=act,
    )


def _collection_step(context: Context, entity: Entity, *, prune: bool) -> Step:
    def check() -> Finding:
        with live.admin(context) as client:
            found = live.collection(client, entity.home, entity.name)
        due = moves(entity, found, prune=prune)
        return (
            todo("; ".join(move.why for move in due)) if due else done(_as_declared(entity, found))
        )

    def act() -> None:
        with live.admin(context) as client:
            Mender(client, entity, prune=prune, clock=context.clock).mend()

    return Step(
        name=f"schema {entity.name}",
        component=component(entity.home),
        what=f"{entity.name}: validator and {len(entity.indexes)} indexes",
        check=check,
        act=act,
        needs=(_place_name(entity.home),),
    )


def _as_declared(entity: Entity, found: LiveCollection | None) -> str:
    """What is there, and what is left alone."""
    extra = sort_out(entity, found.indexes).undeclared if found else ()
    left = f"; undeclared and left: {', '.join(index.name for index in extra)}" if extra else ""
    return f"{len(entity.indexes)} indexes and the validator as declared{left}"
