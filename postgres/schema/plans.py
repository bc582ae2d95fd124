"""What the planner means to do, from `EXPLAIN (FORMAT JSON)`; and how a query is asked for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from psycopg import sql

from cluster.schema.types import Query

Node: TypeAlias = Mapping[str, Any]  # a node of a plan: JSON of PostgreSQL's


@dataclass(frozen=True)
class Plan:
    """The index scans of a plan, by index, with what each looks up; and whether it sorts."""

    scans: Mapping[str, str]
    sorts: bool


def parse(explained: Sequence[Node]) -> Plan:
    """The plan of the one statement that was explained."""
    nodes = list(_nodes(explained[0]["Plan"]))
    return Plan(
        {
            str(node["Index Name"]): str(node.get("Index Cond", ""))
            for node in nodes
            if "Index Name" in node
        },
        any("Sort" in str(node.get("Node Type")) for node in nodes),
    )


def unused(plan: Plan, index: str, query: Query) -> str | None:
    """Why the plan does not use the index for the query; None where it does."""
    if index not in plan.scans:
        return f"the query uses {', '.join(sorted(plan.scans)) or 'no index'}"
    fields = [*query.equal, *([query.since] if query.since else [])]
    missing = [field for field in fields if not _looks_up(plan.scans[index], field)]
    if missing:
        return f"{', '.join(missing)} is not looked up in the index"
    if query.sort and plan.sorts:
        return "the rows are sorted again"
    return None


def explain(table: str, query: Query, values: Mapping[str, object]) -> sql.Composed:
    """The statement that shows the plan of a query with these values."""
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(field), sql.Literal(values[field]))
        for field in query.equal
    ]
    if query.since:
        conditions.append(
            sql.SQL("{} >= {}").format(
                sql.Identifier(query.since), sql.Literal(values[query.since])
            )
        )
    keys = [
        sql.SQL("{} DESC" if key.startswith("-") else "{}").format(
            sql.Identifier(key.removeprefix("-"))
        )
        for key in query.sort
    ]
    return (
        sql.SQL("EXPLAIN (FORMAT JSON, COSTS OFF) SELECT * FROM {}").format(sql.Identifier(table))
        + (sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions) if conditions else sql.SQL(""))
        + (sql.SQL(" ORDER BY ") + sql.SQL(", ").join(keys) if keys else sql.SQL(""))
    )


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _looks_up(condition: str, field: str) -> bool:
    return re.search(rf"\({re.escape(field)}\b", condition) is not None
