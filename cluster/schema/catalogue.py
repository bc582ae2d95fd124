"""The whole data model, by name and by home."""

from cluster.schema import payments, sessions_messages, users_skills
from cluster.schema.types import Entity, Store

ENTITIES: tuple[Entity, ...] = (
    *users_skills.ENTITIES,
    *sessions_messages.ENTITIES,
    *payments.ENTITIES,
)
BY_NAME = {entity.name: entity for entity in ENTITIES}
SEGMENTS = (users_skills.SEGMENT, sessions_messages.SEGMENT)


def collections(segment: str | None = None) -> tuple[Entity, ...]:
    """What MongoDB keeps, in one segment or in all."""
    return tuple(
        entity
        for entity in ENTITIES
        if entity.store is Store.MONGO and segment in {None, entity.home}
    )


def tables() -> tuple[Entity, ...]:
    """What PostgreSQL keeps, each after what it refers to."""
    return tuple(entity for entity in ENTITIES if entity.store is Store.POSTGRES)
