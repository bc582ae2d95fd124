"""The catalogue as tables."""

from collections.abc import Sequence

from cluster.errors import InvalidInputError
from cluster.schema.catalogue import BY_NAME, ENTITIES
from cluster.schema.types import DAY, Entity, Field, Index, Order, Query
from skillswap_ops import console


def chosen(names: Sequence[str]) -> tuple[Entity, ...]:
    """The entities of these names, all where none is given. Raises InvalidInputError."""
    unknown = [name for name in names if name.upper() not in BY_NAME]
    if unknown:
        raise InvalidInputError(
            f"nothing is declared as {', '.join(unknown)}", f"there are: {', '.join(BY_NAME)}"
        )
    return tuple(BY_NAME[name.upper()] for name in names) or ENTITIES


def print_catalogue(entities: Sequence[Entity]) -> None:
    """One line an entity."""
    console.print_table(
        ("entity", "home", ">indexes", "written with", "reports", "kept"),
        [
            (
                entity.name,
                entity.home,
                str(len(entity.indexes)),
                entity.guarantee.text,
                entity.guarantee.reporting,
                _kept(entity),
            )
            for entity in entities
        ],
    )


def print_entity(entity: Entity) -> None:
    """Everything that is declared of one."""
    references = {reference.field: reference.entity for reference in entity.references}
    console.print_table(
        ("field", "type", "", "rule"),
        [
            (
                field.name,
                field.kind,
                "" if field.required else "optional",
                _rule(field, references.get(field.name)),
            )
            for field in entity.fields
        ],
        title=f"{entity.name}: {entity.store}, {entity.home}; primary key {entity.key}",
    )
    console.print_table(
        ("index", "", "for"),
        [(_keys(index), _effect(index), query_text(index.serves)) for index in entity.indexes],
    )
    for line in _facts(entity):
        console.out().print(line, highlight=False)


def query_text(query: Query) -> str:
    """What an index is for: "log-in by e-mail (courriel = ?)"."""
    parts = [f"{field} = ?" for field in query.equal]
    parts += [f"{query.since} ≥ ?"] if query.since else []
    parts += [f"words in {query.words}"] if query.words else []
    parts += [f"near {query.near}"] if query.near else []
    parts += [f"sorted by {', '.join(query.sort)}"] if query.sort else []
    return f"{query.what} ({', '.join(parts)})" if parts else query.what


def _facts(entity: Entity) -> list[str]:
    guarantee, key, states = entity.guarantee, entity.shard_key, entity.states
    lines = [
        f"written with  {guarantee.text}: {guarantee.why}",
        f"reports read  from a {guarantee.reporting}",
        f"kept          {_kept(entity)}: {entity.retention.why}",
    ]
    if key:
        how = "hashed" if key.hashed else "by range"
        lines.append(f"shard key     ({', '.join(key.fields)}), {how}: {key.why}")
    if states:
        changes = [f"{state} → {', '.join(after)}" for state, after in states.after if after]
        lines.append(f"{states.field:<13} begins as {' or '.join(states.first)}")
        lines += [f"{'':<13} {change}" for change in changes]
    return lines


def _kept(entity: Entity) -> str:
    seconds = entity.retention.seconds
    return "for ever" if seconds is None else f"{seconds // DAY} days"


def _rule(field: Field, refers_to: str | None) -> str:
    if refers_to:
        return f"→ {refers_to}"
    if field.values:
        return " | ".join(field.values)
    bounds = [f"≥ {field.minimum:g}"] if field.minimum is not None else []
    bounds += [f"≤ {field.maximum:g}"] if field.maximum is not None else []
    bounds += [f"at most {field.longest} characters"] if field.longest else []
    return ", ".join(bounds)


def _keys(index: Index) -> str:
    signs = {Order.DESCENDING: " desc", Order.TEXT: " text", Order.SPHERE: " 2dsphere"}
    return ", ".join(f"{key.field}{signs.get(key.order, '')}" for key in index.keys)


def _effect(index: Index) -> str:
    if index.expire_after is not None:
        return f"TTL {index.expire_after // DAY} days"
    return "unique" if index.unique else ""
