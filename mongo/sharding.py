"""What makes shards one cluster: their registration, the segments' places, the defaults."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from pymongo.errors import OperationFailure

from cluster.context import Context
from cluster.errors import OpsError, RefusedError
from cluster.plan import Finding, Step, done, todo
from cluster.topology import Shard
from mongo import nodes
from mongo.client import (
    CHANGE_SECONDS,
    QUICK_SECONDS,
    SET_SECONDS,
    Client,
    node_client,
    router_client,
    set_client,
    unless_silent,
)
from mongo.credentials import ADMIN, internal, login
from mongo.nodes import CLUSTER_COMPONENT, SetNodes
from mongo.users import users_step

WriteConcern = int | str
DEFAULTS_STEP = "default write concern"
NAMESPACE_EXISTS = 48


def steps(context: Context) -> tuple[Step, ...]:
    """The shards are registered, the segments are pinned, the defaults are set."""
    return (
        _defaults_step(context),
        *(_shard_step(context, shard) for shard in nodes.shards(context)),
        *(
            _segment_step(context, segment, shards)
            for segment, shards in context.topology.mongo.segments.items()
        ),
    )


def segment_step(segment: str) -> str:
    """The step after which the segment can be written to."""
    return f"pin {segment}"


def _any_router(context: Context, seconds: float) -> AbstractContextManager[Client]:
    """As the administrator, whom these commands are for on any sharded cluster."""
    return router_client(nodes.routers(context), login(context, ADMIN), seconds=seconds)


# Defaults


def _defaults_step(context: Context) -> Step:
    """Set on the config servers, where routers read it, before the first shard is added.

    A shard that is added before is refused where an arbiter makes its own default w:1.
    """
    config, wanted = nodes.config_servers(context), context.topology.mongo.write_concern

    def check() -> Finding:
        with set_client(config, internal(context), seconds=QUICK_SECONDS) as client:
            found = default_write_concern(client)
        if found == wanted:
            return done(f"w: {found}")
        return todo(f"w: {found}, not {wanted}" if found else "not set")

    def act() -> None:
        with set_client(config, internal(context), seconds=CHANGE_SECONDS) as client:
            set_default_write_concern(client, wanted)
        tell_routers(context)

    return Step(
        name=DEFAULTS_STEP,
        component=CLUSTER_COMPONENT,
        what=f"set the cluster's default write concern to w: {wanted}",
        check=unless_silent(check),
        act=act,
        needs=(config.step,),
    )


def set_default_write_concern(client: Client, wanted: WriteConcern) -> None:
    """Set `w` of the cluster-wide default, for clients that ask for none."""
    client.admin.command(
        {
            "setDefaultRWConcern": 1,
            "defaultWriteConcern": {"w": wanted, "wtimeout": 0},
            "writeConcern": {"w": "majority"},
        }
    )


def tell_routers(context: Context) -> None:
    """Set the default through every router that answers, so that each applies it from now on.

    A router keeps what it read of the config servers for a while; one that does not answer reads
    it when it starts.
    """
    for router in nodes.routers(context):
        with suppress(OpsError), node_client(router, login(context, ADMIN)) as client:
            set_default_write_concern(client, context.topology.mongo.write_concern)


def default_write_concern(client: Client, *, in_memory: bool = False) -> WriteConcern | None:
    """`w` of the cluster-wide default; None where nobody has set one.

    `in_memory` asks a router for what it gives to writes now, not for what the config servers hold.
    """
    answer = client.admin.command("getDefaultRWConcern", inMemory=in_memory)
    if answer.get("defaultWriteConcernSource") == "implicit":
        return None
    concern: Mapping[str, WriteConcern] = answer.get("defaultWriteConcern", {})
    return concern.get("w")


# Shards


def _shard_step(context: Context, shard: SetNodes) -> Step:
    def check() -> Finding:
        with _any_router(context, QUICK_SECONDS) as client:
            seeds = registered_shards(client).get(shard.name)
        return done(f"registered as {seeds}") if seeds else todo("not registered")

    def act() -> None:
        with _any_router(context, CHANGE_SECONDS) as client:
            client.admin.command({"addShard": shard.seeds, "name": shard.name})

    return Step(
        name=_registration(shard.name),
        component=CLUSTER_COMPONENT,
        what=f"register {shard.name} with the config servers",
        check=unless_silent(check),
        act=act,
        needs=(
            shard.step,
            DEFAULTS_STEP,
            users_step(nodes.config_servers(context)),
            *(f"start {router.name}" for router in nodes.routers(context)),
        ),
    )


def _registration(shard: str) -> str:
    return f"add shard {shard}"


def registered_shards(client: Client) -> dict[str, str]:
    """The shards that a router knows: name to `set/host,host`."""
    return {shard["_id"]: shard["host"] for shard in client.admin.command("listShards")["shards"]}


# Segments


@dataclass(frozen=True)
class Place:
    """Where a segment lives (None: nowhere yet) and where it should.

    `others` are shards that take a part of it once it is spread (`mongo.schema.spread`).
    """

    segment: str
    found: str | None
    wanted: str
    others: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """Raises RefusedError where its data would have to move."""
        if self.found is None:
            return todo("has no shard yet")
        if self.found == self.wanted:
            return done(f"lives on {self.where}")
        raise RefusedError(
            f"segment {self.segment} lives on {self.found}, not on {self.wanted}",
            "name that shard first in the topology file, or move its data with movePrimary first",
        )

    @property
    def where(self) -> str:
        """The shard that it is pinned to, and what of it others take."""
        later = f"; {', '.join(self.others)} takes a part once it is spread" if self.others else ""
        return f"{self.wanted}{later}"


def _segment_step(context: Context, segment: str, shards: tuple[Shard, ...]) -> Step:
    first, *others = [shard.name for shard in shards]
    nowhere = Place(segment, None, first, tuple(others))

    def place(seconds: float) -> Place:
        with _any_router(context, seconds) as client:
            return replace(nowhere, found=segment_places(client).get(segment))

    def act() -> None:
        with _any_router(context, CHANGE_SECONDS) as client:
            try:
                client.admin.command({"enableSharding": segment, "primaryShard": first})
            except OperationFailure as error:
                if error.code != NAMESPACE_EXISTS:
                    raise
        if not place(SET_SECONDS).finding.done:
            raise OpsError(f"segment {segment} did not get its shard {first}")

    return Step(
        name=segment_step(segment),
        component=CLUSTER_COMPONENT,
        what=f"pin segment {segment} to {nowhere.where}",
        check=unless_silent(lambda: place(QUICK_SECONDS).finding),
        act=act,
        needs=(_registration(first),),
    )


def segment_places(client: Client) -> dict[str, str]:
    """The primary shard of every database that a router knows."""
    return {row["_id"]: row["primary"] for row in client.config.databases.find()}
