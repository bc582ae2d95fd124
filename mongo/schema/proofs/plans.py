"""An index's query as a `find`, and the indexes that a server says it would use. Pure.

`explain` answers in several shapes: a shard's own (classic engine: `winningPlan`; slot-based
engine, explainVersion 2: `winningPlan.queryPlan`), and mongos's, which has the shards' own under
`winningPlan.shards` (MongoDB Manual, Explain Results).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cluster.schema.types import Entity, Query

Document = Mapping[str, Any]

NEAR_METRES = 1000
# Not what runs: the engine's own form of the plan, and what lost.
_BESIDE = frozenset({"slotBasedPlan", "rejectedPlans"})
NOTHING_THERE = "EOF"  # the stage of a shard that has nothing of the collection


def find_command(entity: Entity, query: Query, document: Document) -> dict[str, Any]:
    """The query, with the values of a document that it should find."""
    command: dict[str, Any] = {"find": entity.name, "filter": _filter(query, document)}
    if query.sort:
        command["sort"] = {
            field.removeprefix("-"): -1 if field.startswith("-") else 1 for field in query.sort
        }
    return command


def _filter(query: Query, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {name: _one(document[name]) for name in query.equal}
    if query.since:
        found[query.since] = {"$gte": document[query.since]}
    if query.words:
        found["$text"] = {"$search": document[query.words]}
    if query.near:
        near = {"$geometry": document[query.near], "$maxDistance": NEAR_METRES}
        found[query.near] = {"$nearSphere": near}
    return found


def _one(value: object) -> object:
    """An element of a list: an index holds each of them."""
    return value[0] if isinstance(value, list) else value


def winning_indexes(explained: Document) -> tuple[frozenset[str], ...]:
    """For each shard that would answer, the names of the indexes in its winning plan."""
    plans = list(_winning(explained.get("queryPlanner", {})))
    there = [plan for plan in plans if plan.get("stage") != NOTHING_THERE] or plans
    return tuple(frozenset(_names(plan)) for plan in there)


def _winning(planner: Document) -> Iterator[Document]:
    plan: Document = planner.get("winningPlan", {})
    shards: Iterable[Document] | None = plan.get("shards")
    if shards is None:
        yield plan
        return
    for shard in shards:
        yield from _winning(shard)


def _names(plan: object) -> Iterator[str]:
    if isinstance(plan, Mapping):
        if "indexName" in plan:
            yield str(plan["indexName"])
        for name, part in plan.items():
            if name not in _BESIDE:
                yield from _names(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from _names(part)
