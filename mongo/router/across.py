"""Answers that span all shards."""

import asyncio
from collections.abc import Iterable, Mapping

from bson import Int64

from mongo.router.authz import CLUSTER
from mongo.router.errors import Code, CommandError
from mongo.router.forward import passed_on
from mongo.router.metadata import CONFIG_SET
from mongo.router.request import Fields, Parts, Request
from mongo.router.users import Unavailable


async def list_shards(parts: Parts) -> Fields:
    """The shards, as the config servers have them now."""
    if not await parts.metadata.fresh():
        raise CommandError(Code.FailedToSatisfyReadPreference, "the config servers cannot be asked")
    found = parts.metadata.catalog.shards
    return {"shards": [{"_id": name, "host": host, "state": 1} for name, host in found.items()]}


async def list_databases(parts: Parts, request: Request) -> Fields:
    """The databases of all shards that the user may know of."""
    body = request.body
    ask: Fields = {"listDatabases": 1, "$db": "admin"}
    if "filter" in body:
        ask["filter"] = body.value("filter")
    sets = [CONFIG_SET, *parts.metadata.catalog.shards]
    answers = await asyncio.gather(*(_databases_of(parts, name, ask) for name in sets))
    merged = merge_databases(dict(zip(sets, answers, strict=True)))
    rights = request.principal.rights
    if body.truth("authorizedDatabases") or not rights.allow(CLUSTER, "listDatabases"):
        merged = [each for each in merged if rights.touches(each["name"], "find")]
    if body.truth("nameOnly"):
        return {"databases": [{"name": each["name"]} for each in merged]}
    total = sum(each["sizeOnDisk"] for each in merged)
    return {
        "databases": merged,
        "totalSize": Int64(total),
        "totalSizeMb": Int64(total // 1024**2),
    }


async def _databases_of(parts: Parts, name: str, ask: Fields) -> list[Fields]:
    try:
        answer = await parts.backends.ask(name, ask)
    except Unavailable as error:
        raise CommandError(Code.FailedToSatisfyReadPreference, str(error)) from error
    if not answer.truth("ok"):
        raise passed_on(answer)
    found: list[Fields] = answer.value("databases")
    return found


def merge_databases(by_set: Mapping[str, Iterable[Fields]]) -> list[Fields]:
    """One entry a database, with its size on each shard, as mongos merges them.

    `admin` and `config` are the config servers' own, `local` is nobody's business.
    """
    merged: dict[str, Fields] = {}
    for name, databases in by_set.items():
        for each in databases:
            database = each["name"]
            central = database in {"admin", "config"}
            if database == "local" or central != (name == CONFIG_SET):
                continue
            size = int(each.get("sizeOnDisk", 0))
            entry = merged.setdefault(
                database, {"name": database, "sizeOnDisk": Int64(0), "empty": True, "shards": {}}
            )
            entry["sizeOnDisk"] = Int64(entry["sizeOnDisk"] + size)
            entry["empty"] = bool(entry["empty"] and each.get("empty", False))
            entry["shards"][name] = Int64(size)
    return [merged[name] for name in sorted(merged)]
