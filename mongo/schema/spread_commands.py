"""The administrative commands that spread a segment, as the driver and as mongosh take them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bson import MaxKey, MinKey

from mongo.schema.indexes import IndexSpec

Keys = tuple[tuple[str, int | str], ...]


class Command(Protocol):
    """An administrative command for mongos, as the driver and as mongosh take it."""

    @property
    def database(self) -> str:
        """The database that it is sent to."""
        ...

    @property
    def document(self) -> dict[str, Any]:
        """What `Database.command` takes."""
        ...

    @property
    def shell(self) -> str:
        """The same as a line for mongosh."""
        ...


@dataclass(frozen=True)
class AddToZone:
    """The shard takes its share of what is bound to the zone. Repeated, it changes nothing."""

    shard: str
    zone: str
    database: str = "admin"

    @property
    def document(self) -> dict[str, Any]:
        """For the driver."""
        return {"addShardToZone": self.shard, "zone": self.zone}

    @property
    def shell(self) -> str:
        """For mongosh."""
        return f"sh.addShardToZone({json.dumps(self.shard)}, {json.dumps(self.zone)})"


@dataclass(frozen=True)
class CreateKeyIndex:
    """The index that the shard key needs; a filled collection is not sharded without one."""

    database: str
    collection: str
    index: IndexSpec

    @property
    def document(self) -> dict[str, Any]:
        """For the driver."""
        return {"createIndexes": self.collection, "indexes": [self.index.document]}

    @property
    def shell(self) -> str:
        """For mongosh."""
        place = f"db.getSiblingDB({json.dumps(self.database)})[{json.dumps(self.collection)}]"
        name = json.dumps(self.index.name)
        return f"{place}.createIndex({shown(dict(self.index.keys))}, {{name: {name}}})"


@dataclass(frozen=True)
class BindToZone:
    """The whole range of the key belongs to the zone, so that no other shard gets any of it."""

    namespace: str
    fields: tuple[str, ...]
    zone: str
    database: str = "admin"

    @property
    def document(self) -> dict[str, Any]:
        """For the driver."""
        return {
            "updateZoneKeyRange": self.namespace,
            "min": dict.fromkeys(self.fields, MinKey()),
            "max": dict.fromkeys(self.fields, MaxKey()),
            "zone": self.zone,
        }

    @property
    def shell(self) -> str:
        """For mongosh."""
        lowest = ", ".join(f"{field}: MinKey()" for field in self.fields)
        highest = ", ".join(f"{field}: MaxKey()" for field in self.fields)
        ends = f"{{{lowest}}}, {{{highest}}}"
        namespace, zone = json.dumps(self.namespace), json.dumps(self.zone)
        return f"sh.updateZoneKeyRange({namespace}, {ends}, {zone})"


@dataclass(frozen=True)
class ShardCollection:
    """The collection is spread by its key. Repeated with the same key, it changes nothing."""

    namespace: str
    keys: Keys
    unique: bool
    database: str = "admin"

    @property
    def document(self) -> dict[str, Any]:
        """For the driver."""
        return {"shardCollection": self.namespace, "key": dict(self.keys), "unique": self.unique}

    @property
    def shell(self) -> str:
        """For mongosh."""
        unique = ", true" if self.unique else ""
        return f"sh.shardCollection({json.dumps(self.namespace)}, {shown(dict(self.keys))}{unique})"


def shown(keys: Mapping[str, int | str]) -> str:
    """For mongosh: `{id_session: "hashed"}`."""
    return f"{{{', '.join(f'{field}: {json.dumps(value)}' for field, value in keys.items())}}}"
