"""A shard that the topology has no more: what keeps it, and its way out of the sharded cluster.

`removeShard` only begins: the balancer then moves the shard's chunks to others, and the same
command at the end takes it from the list of shards. It is given again only when the shard holds
nothing at all. https://www.mongodb.com/docs/v6.0/tutorial/remove-shards-from-cluster/
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pymongo.errors import OperationFailure

from cluster.backup.contracts import Say
from cluster.clock import wait_for
from cluster.context import Context
from cluster.errors import OpsError, RefusedError, UnreachableError
from mongo import members, nodes
from mongo.client import Client, router_client, set_client
from mongo.credentials import ADMIN, internal, login
from mongo.nodes import SetNodes
from mongo.servers import RouterKind, router_kind
from mongo.sharding import registered_shards, segment_places

SHARD_NOT_FOUND = 70
OWN = frozenset({"admin", "config", "local"})
DRAIN_SECONDS = 24 * 3600.0  # as long as the data is large
NAMED = 5  # namespaces in a message
MOVES = {
    RouterKind.MONGOS: "move them with `movePrimary` first, while nobody writes to them",
    RouterKind.SEGMENT_ROUTER: "the segment router moves none: that needs mongos; one that nobody "
    "needs any more can be dropped (dropDatabase)",
}


@dataclass(frozen=True)
class Kept:
    """Why a shard must stay, and what would let it go."""

    why: str
    hint: str


def cannot_leave(
    shard: str,
    places: Mapping[str, str],
    strays: Mapping[str, int],
    router: RouterKind,
    *,
    balances: bool,
) -> Kept | None:
    """What keeps a shard; None where it may be drained. Pure.

    `places` are the databases' primary shards; `strays` the documents by namespace that it holds
    and that no router knows of; `balances`: the balancer is on.
    """
    if homes := sorted(name for name, place in places.items() if place == shard):
        lives = "lives" if len(homes) == 1 else "live"
        return Kept(f"{', '.join(homes)} {lives} on {shard}", MOVES[router])
    if strays:
        return Kept(
            f"{shard} holds what was written past the routers: {named(strays)}",
            "write it through a router and drop it here, or drop it",
        )
    if not balances:
        return Kept(
            f"the balancer is off: nothing would move the chunks of {shard}", "`sh.startBalancer()`"
        )
    return None


def strays(
    held: Mapping[str, int], sharded: frozenset[str], places: Mapping[str, str], shard: str
) -> dict[str, int]:
    """Of the namespaces that a shard holds those that no router looks for there. Pure.

    Of a sharded collection any shard may have a part; any other lives where its database does.
    """
    return {
        name: count
        for name, count in held.items()
        if name not in sharded and places.get(name.partition(".")[0]) != shard
    }


def named(found: Mapping[str, int]) -> str:
    """The namespaces with how many documents each has, the first few."""
    words = [f"{count} documents in {name}" for name, count in sorted(found.items())]
    more = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {more} more collections" if more > 0 else "")


def refuse(context: Context, shard: SetNodes) -> None:
    """Raises RefusedError where the shard must stay, UnreachableError where it does not say.

    One that was never initiated holds nothing.
    """
    if not any(answer.config or answer.silent for answer in members.observe(context, shard)):
        return
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        places = segment_places(client)
        sharded = frozenset(row["_id"] for row in client.config.collections.find({}, {"_id": 1}))
        balances = client.admin.command("balancerStatus")["mode"] != "off"
    found = strays(holds(context, shard), sharded, places, shard.name)
    kept = cannot_leave(shard.name, places, found, router_kind(context), balances=balances)
    if kept:
        raise RefusedError(kept.why, kept.hint)


def is_registered(context: Context, shard: str) -> bool:
    """Whether routers lead to it. Raises UnreachableError where none answers."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        return shard in registered_shards(client)


def drain(context: Context, shard: SetNodes, say: Say) -> None:
    """Have the balancer move its chunks away, until the shard is empty and registered no more.

    Killed anywhere, the same again goes on. Raises UnreachableError where it takes longer than a
    day.
    """
    said = ""

    def drained() -> bool:
        nonlocal said
        with router_client(nodes.routers(context), login(context, ADMIN)) as client:
            left = _left(context, client, shard)
        if left and left != said:
            said = left
            say(f"{shard.name}: {left}")
        if left:
            raise UnreachableError(left)
        return True

    what = f"draining {shard.name}"
    wait_for(what, drained, seconds=DRAIN_SECONDS, every=1.0, clock=context.clock)


def _left(context: Context, client: Client, shard: SetNodes) -> str:
    """One step further; what is left to do, "" where it is registered no more."""
    registered = client.config.shards.find_one({"_id": shard.name})
    if registered is None:
        return ""
    if not registered.get("draining"):
        _remove(client, shard.name)
        return "it is drained from now on"
    if chunks := client.config.chunks.count_documents({"shard": shard.name}):
        return f"{chunks} chunks to move"
    if found := holds(context, shard):
        # What was moved is removed after orphanCleanupDelaySecs, 15 minutes by default.
        return f"{named(found)}, until what was moved is removed"
    return "" if _remove(client, shard.name) else "it is about to be empty"


def _remove(client: Client, shard: str) -> bool:
    """Begin to drain it, or end that; whether it is registered no more."""
    try:
        answer = client.admin.command({"removeShard": shard})
    except OperationFailure as error:
        if error.code == SHARD_NOT_FOUND:
            return True
        raise
    if homes := answer.get("dbsToMove"):
        raise OpsError(f"{', '.join(homes)} began to live on {shard}", "move them away first")
    return bool(answer["state"] == "completed")


def holds(context: Context, shard: SetNodes) -> dict[str, int]:
    """How many documents the shard's own primary has, by namespace; none of the server's own.

    Raises UnreachableError where it has no primary.
    """
    found = {}
    with set_client(shard, internal(context)) as client:
        for database in sorted({*client.list_database_names()} - OWN):
            for name in client[database].list_collection_names(filter={"type": "collection"}):
                rows = client[database][name]
                if not name.startswith("system.") and rows.find_one({}, {"_id": 1}) is not None:
                    found[f"{database}.{name}"] = max(1, rows.estimated_document_count())
    return found
