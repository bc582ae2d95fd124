"""Segments live where the topology says: by the config servers' word and by the shards' own."""

from collections.abc import Mapping, Sequence

from cluster.context import Context
from cluster.schema import catalogue
from mongo import nodes
from mongo.client import router_client, set_client
from mongo.credentials import ADMIN, login
from mongo.schema.proofs.trial import Line
from mongo.sharding import segment_places


def line(context: Context, segment: str) -> Line:
    """The segment is pinned to its first shard, and no shard of another one has any of it."""
    shards = [shard.name for shard in context.topology.mongo.segments[segment]]

    def trial() -> str:
        with router_client(nodes.routers(context), login(context, ADMIN)) as client:
            found = segment_places(client).get(segment)
        if found != shards[0]:
            return f"is on {found}" if found else "has no shard"
        return strays(shards, _holders(context, segment))

    return Line("", f"segment {segment} lives on {' and '.join(shards)}", trial)


def strays(shards: Sequence[str], holders: Mapping[str, Sequence[str]]) -> str:
    """The collections that shards have which should have none. Pure."""
    strange = {name: found for name, found in holders.items() if name not in shards and found}
    return "; ".join(f"{name} has {', '.join(found)}" for name, found in strange.items())


def _holders(context: Context, segment: str) -> dict[str, list[str]]:
    declared = {entity.name for entity in catalogue.collections(segment)}
    found = {}
    for shard in nodes.shards(context):
        with set_client(shard, login(context, ADMIN)) as client:
            found[shard.name] = sorted(declared & set(client[segment].list_collection_names()))
    return found
