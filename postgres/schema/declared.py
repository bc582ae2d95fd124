"""The catalogue in PostgreSQL's words: names of tables, constraints and indexes, column types."""

from typing import LiteralString

from cluster.schema import catalogue
from cluster.schema.types import Entity, Field, Index, Kind, Reference, Store

TYPES: dict[Kind, LiteralString] = {
    Kind.ID: "uuid",
    Kind.STRING: "text",
    Kind.INTEGER: "bigint",
    Kind.MONEY: "bigint",
    Kind.NUMBER: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "timestamp with time zone",
}
# What no new value may ever replace: identity, and what was agreed or issued.
IMMUTABLE = {
    "ABONNEMENT": ("id", "id_utilisateur"),
    "INTENTION_PAIEMENT": (
        "id",
        "id_utilisateur",
        "montant",
        "devise",
        "cle_idempotence",
        "cree_le",
    ),
    "FACTURE": (
        "id",
        "id_intention_paiement",
        "id_abonnement",
        "reference_externe",
        "montant",
        "devise",
        "emise_le",
    ),
    "DROIT_ACCES": ("id", "id_abonnement", "id_utilisateur", "droit"),
}
# The end of a period comes after its begin: (entity, begin, end).
PERIODS = (("ABONNEMENT", "debut", "fin"), ("DROIT_ACCES", "accorde_le", "expire_le"))
MATCHES_PAYMENT = "facture_matches_payment"


def table(entity: Entity) -> str:
    """The table's name: the entity's, folded as PostgreSQL folds unquoted names."""
    return entity.name.lower()


def entity_of(name: str) -> str:
    """What findings call a table: the entity where there is one."""
    entity = catalogue.BY_NAME.get(name.upper())
    return entity.name if entity and entity.store is Store.POSTGRES else name


def primary_key(entity: Entity) -> str:
    """The name of the primary key's constraint."""
    return f"{table(entity)}_pkey"


def foreign_keys(entity: Entity) -> tuple[Reference, ...]:
    """The references that PostgreSQL can enforce; `data check` looks after the others."""
    stores = {each.name: each.store for each in catalogue.ENTITIES}
    return tuple(each for each in entity.references if stores[each.entity] is Store.POSTGRES)


def foreign_key(entity: Entity, reference: Reference) -> str:
    """The name of a foreign key's constraint."""
    return f"{table(entity)}_{reference.field}_fkey"


def index(entity: Entity, declared: Index) -> str:
    """The name of an index, or of the constraint where it is unique."""
    ending = "key" if declared.unique else "idx"
    return "_".join((table(entity), *declared.fields, ending))


def check(entity: Entity, field: str) -> str:
    """The name of the constraint that bounds a field."""
    return f"{table(entity)}_{field}_check"


def checked(entity: Entity) -> tuple[Field, ...]:
    """The fields that a constraint of their own bounds: words, amounts, lengths."""
    return tuple(
        field
        for field in entity.fields
        if field.values or field.longest or field.minimum is not None or field.maximum is not None
    )


def first_state(entity: Entity) -> str:
    """The name of the trigger that refuses a row that begins elsewhere than it may."""
    return f"{table(entity)}_first_state"


def state_change(entity: Entity) -> str:
    """The name of the trigger that refuses an illegal change of status."""
    return f"{table(entity)}_state_change"


def immutable(entity: Entity) -> str:
    """The name of the trigger that refuses a change of what never changes."""
    return f"{table(entity)}_immutable"
