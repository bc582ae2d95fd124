"""What a service keeps about a person, as RGPD asks: to hand it out, and to remove it.

Each service says so for its own collections; auth asks all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from starlette.status import HTTP_204_NO_CONTENT

from cluster.schema.catalogue import BY_NAME
from cluster.schema.types import Entity
from skillswap_ops.services.base import problems
from skillswap_ops.services.base.access import Service
from skillswap_ops.services.base.models import Answer, Id
from skillswap_ops.services.base.runtime import At, Runtime

MOST_ROWS = 10_000  # of a person and collection in one export

Document = dict[str, Any]


@dataclass(frozen=True)
class Personal:
    """A collection's rows about a person, by the fields that name them.

    On removal they are deleted; with `blank` only these fields are overwritten (None takes a field
    away), because the row is somebody else's record too; with `keep` they stay, for that reason.
    """

    entity: str
    by: tuple[str, ...] = ("id_utilisateur",)
    blank: Mapping[str, object] = field(default_factory=dict)
    keep: str = ""


class Export(Answer):
    """Rows by entity, as stored."""

    lignes: dict[str, list[dict[str, object]]]


def router(*rules: Personal) -> APIRouter:
    """The operations that auth calls."""
    made = APIRouter(
        prefix="/internal/personal",
        tags=["internal"],
        responses=problems.documented(*problems.AUTHENTICATED),
    )

    @made.get("/{user}")
    async def export(user: Id, at: At, _who: Service) -> Export:
        """Everything about a person."""
        return Export(lignes={rule.entity: await _rows(at, rule, user) for rule in rules})

    @made.delete("/{user}", status_code=HTTP_204_NO_CONTENT)
    async def remove(user: Id, at: At, _who: Service) -> None:
        """Remove it; idempotent."""
        for rule in rules:
            await _remove(at, rule, user)

    return made


def about(rule: Personal, user: str) -> Document:
    """MongoDB's filter for a person's rows."""
    return {"$or": [{name: user} for name in rule.by]} if len(rule.by) > 1 else {rule.by[0]: user}


async def _rows(at: Runtime, rule: Personal, user: str) -> list[Document]:
    key = BY_NAME[rule.entity].key
    rows = await at.mongo.page(rule.entity, about(rule, user), [(key, 1)], MOST_ROWS)
    return [public(row) for row in rows]


async def _remove(at: Runtime, rule: Personal, user: str) -> None:
    if rule.keep:
        return
    collection = at.mongo.of(rule.entity)
    query = about(rule, user)

    async def work() -> None:
        if rule.blank:
            await collection.update_many(query, blanking(BY_NAME[rule.entity], rule.blank))
        else:
            await collection.delete_many(query)

    await at.mongo.write(f"remove {rule.entity}", work, again=True)


def blanking(entity: Entity, blank: Mapping[str, object]) -> Document:
    """The update that overwrites these fields. Raises KeyError for an undeclared one."""
    for name in blank:
        entity.field(name)
    put = {name: value for name, value in blank.items() if value is not None}
    gone = {name: "" for name, value in blank.items() if value is None}
    return {word: fields for word, fields in (("$set", put), ("$unset", gone)) if fields}


def public(row: Document) -> Document:
    """A stored row without MongoDB's own id, which repeats its key."""
    return {name: value for name, value in row.items() if name != "_id"}
