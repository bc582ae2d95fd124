"""Every declared reference looked up, across shards and across both stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.context import Context
from cluster.errors import InvalidInputError
from cluster.freshness import Answered
from cluster.references import Checked, Ends, check
from cluster.schema.catalogue import BY_NAME, ENTITIES, SEGMENTS
from cluster.schema.types import Entity, Reference, Store
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import APPLICATION, login
from mongo.references import MongoEnds
from mongo.references import assert_applied as assert_collections
from mongo.staleness import choose
from postgres import guarantees, staleness
from postgres.references import PostgresEnds
from postgres.references import assert_applied as assert_tables

READ_SECONDS = 600  # one stream, with all that the merge waits for


@dataclass(frozen=True)
class Link:
    """A declared reference, with both of its ends."""

    entity: Entity
    reference: Reference
    target: Entity

    @property
    def name(self) -> str:
        """As `MESSAGE.id_session → SESSION`."""
        return f"{self.entity.name}.{self.reference.field} → {self.target.name}"


@dataclass(frozen=True)
class Integrity:
    """What was found, and from whom the streams came when the check began."""

    found: tuple[Checked, ...]
    sources: tuple[Answered, ...]

    @property
    def clean(self) -> bool:
        """Whether no reference leads nowhere."""
        return not any(one.missing for one in self.found)


class Observer:
    """What a check reports while it works; the default is silent."""

    def begins(self, link: Link) -> None:
        """A reference is about to be looked up."""

    def ends(self, found: Checked) -> None:
        """A reference has been looked up."""


def links(entities: tuple[str, ...] = ()) -> tuple[Link, ...]:
    """Every declared reference, or those of some entities.

    Raises InvalidInputError for a name that is not declared.
    """
    for name in entities:
        if name not in BY_NAME:
            raise InvalidInputError(
                f'there is no entity "{name}"', f"there are: {', '.join(sorted(BY_NAME))}"
            )
    return tuple(
        Link(entity, reference, BY_NAME[reference.entity])
        for entity in ENTITIES
        if not entities or entity.name in entities
        for reference in entity.references
    )


def check_references(
    context: Context, wanted: tuple[Link, ...], observer: Observer, *, primary: bool = False
) -> Integrity:
    """Look the references up, one after another. `primary`: read all from the primaries.

    Raises RefusedError where the schema is not applied or no replica can answer, UnreachableError
    where a store does not answer, InconclusiveError where a stream could not be read to its end.
    """
    with _ends(context, primary=primary) as (ends, sources):
        found = []
        for link in wanted:
            observer.begins(link)
            held_by, named_by = ends[link.entity.store], ends[link.target.store]
            found.append(check(link.entity, link.reference, link.target, held_by, named_by))
            observer.ends(found[-1])
    return Integrity(tuple(found), sources)


@contextmanager
def _ends(
    context: Context, *, primary: bool
) -> Iterator[tuple[dict[Store, Ends], tuple[Answered, ...]]]:
    choices = {segment: choose(context, segment, primary=primary) for segment in SEGMENTS}
    with staleness.reading(context, primary=primary) as reading:
        standby = reading.answered
    account = login(context, APPLICATION)
    with (
        router_client(nodes.routers(context), account, seconds=READ_SECONDS) as client,
        guarantees.session(context) as connection,
    ):
        assert_collections(client, SEGMENTS)
        assert_tables(connection, context.topology.postgres.database)
        mongo = MongoEnds(client, choices)
        postgres = PostgresEnds(context, connection, from_primary=primary)
        sources = (*(choice.answered for choice in choices.values()), standby)
        yield {Store.MONGO: mongo, Store.POSTGRES: postgres}, sources
