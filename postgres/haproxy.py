"""HAProxy's own account of its backends: the statistics page as CSV."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from cluster.errors import UnreachableError
from cluster.inventory import Node
from cluster.web import basic, request
from postgres.names import STATS_PORT, STATS_USER

SUMMARIES = frozenset({"FRONTEND", "BACKEND"})
NO_LISTENERS = frozenset({"statistics", "unpooled"})
BACKUP = "1"


@dataclass(frozen=True)
class Routes:
    """Which servers are up behind each listener, by its name (`pooled`, `direct`, `reads`).

    `pooled` leads to pools alone: without one its clients go past it, and it is down here.
    """

    up: Mapping[str, tuple[str, ...]]

    def to(self, listener: str) -> str | None:
        """The one server that a listener leads to; None where there is none, or more than one."""
        names = self.up.get(listener, ())
        return names[0] if len(names) == 1 else None


def parse_statistics(text: str) -> Routes:
    """The page `/;csv`: https://docs.haproxy.org/2.6/management.html#9.1"""
    up: dict[str, tuple[str, ...]] = {}
    for row in csv.DictReader(io.StringIO(text.removeprefix("# "))):
        if row["svname"] in SUMMARIES or row["pxname"] in NO_LISTENERS:
            continue
        if row.get("bck") == BACKUP:  # PostgreSQL itself, in place of a pool that is gone
            continue
        names = up.setdefault(row["pxname"], ())
        # "UP 1/2" is a server that is on its way down, and still is sent clients.
        if row["status"].startswith("UP"):
            up[row["pxname"]] = (*names, row["svname"])
    return Routes(up)


def routes(node: Node, password: str, seconds: float = 1.0) -> Routes:
    """Where a proxy leads now. Raises UnreachableError."""
    headers = basic(STATS_USER, password)
    answer = request(
        node.address,
        STATS_PORT,
        "GET",
        "/;csv",
        headers=headers,
        seconds=seconds,
        trust=node.trust,
    )
    if not answer.ok:
        raise UnreachableError(f"{node.name}'s statistics are refused (HTTP {answer.status})")
    return parse_statistics(answer.text)
