"""Where databases live: the cluster's own metadata, read from the config servers and kept.

Read anew where something is missing, where a shard says that we are behind, and every so often;
when the config servers cannot be asked, what is known stays in force.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId, Timestamp

from mongo.router import log
from mongo.router.concerns import SETTING, Defaults, parse_defaults
from mongo.router.document import encode_elements
from mongo.router.users import Unavailable

CONFIG_SET = "config"
CENTRAL = frozenset({"admin", "config"})  # databases that live on the config servers
# The version of a collection that is not sharded, by which a shard notices that we are wrong.
UNSHARDED = encode_elements(
    {"shardVersion": {"e": ObjectId("0" * 24), "t": Timestamp(0, 0), "v": Timestamp(0, 0)}}
)


@dataclass(frozen=True)
class Home:
    """The shard that owns a database, and the element by which the shard checks that it does."""

    shard: str
    version: bytes


@dataclass(frozen=True)
class Catalog:
    """A consistent enough view of the metadata."""

    shards: Mapping[str, str] = field(default_factory=dict)  # name to `set/host,host`
    databases: Mapping[str, Home] = field(default_factory=dict)
    sharded: frozenset[str] = frozenset()  # namespaces
    defaults: Defaults = field(default_factory=Defaults)


Rows = Iterable[Mapping[str, Any]]


def parse_catalog(shards: Rows, databases: Rows, collections: Rows, settings: Rows) -> Catalog:
    """The catalog of what the collections of `config` hold."""
    defaults = next((row for row in settings if row["_id"] == SETTING), None)
    return Catalog(
        {row["_id"]: row["host"] for row in shards},
        {
            row["_id"]: Home(row["primary"], encode_elements({"databaseVersion": row["version"]}))
            for row in databases
            if "version" in row
        },
        frozenset(row["_id"] for row in collections if not row.get("unsplittable")),
        parse_defaults(defaults),
    )


Find = Callable[[str], Awaitable[Rows]]


Follow = Callable[[Mapping[str, str]], Awaitable[None]]


class Metadata:
    """The newest catalog.

    `find` reads a whole collection of `config`, or raises Unavailable; `follow` is told the shards
    after each reading.
    """

    def __init__(self, find: Find, follow: Follow) -> None:
        self._find = find
        self._follow = follow
        self._reading: asyncio.Task[bool] | None = None
        self.catalog = Catalog()
        self.known = False

    async def refresh(self) -> bool:
        """Read the metadata anew; callers at the same time share one reading.

        False where the config servers could not be asked.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def fresh(self) -> bool:
        """Read the metadata, in a reading that begins after this call."""
        if self._reading is not None and not self._reading.done():
            await asyncio.shield(self._reading)
        return await self.refresh()

    async def _read(self) -> bool:
        try:
            names = ("shards", "databases", "collections", "settings")
            catalog = parse_catalog(*[await self._find(name) for name in names])
        except Unavailable as error:
            log.warning("config servers away: metadata stays as it is", reason=str(error))
            return False
        if catalog != self.catalog:
            log.event(
                "metadata read",
                shards=sorted(catalog.shards),
                databases={name: home.shard for name, home in catalog.databases.items()},
                sharded=sorted(catalog.sharded),
            )
        self.catalog, self.known = catalog, True
        await self._follow(catalog.shards)
        return True
