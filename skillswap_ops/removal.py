"""Members and shards that the topology has no more leave for good, on the local target."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mongo.draining
import mongo.former
import mongo.leaving
import mongo.removal
import mongo.rolling
import mongo.servers
import postgres.former
import postgres.removal
from cluster import former, tls
from cluster.backup.contracts import Say
from cluster.errors import InvalidInputError, RefusedError
from cluster.files import write_atomic
from cluster.inventory import Node
from cluster.leading import Gap
from cluster.rolling import Group, Restart
from cluster.server import Server
from cluster.topology_file import dump_topology
from manifests.monitoring import local as monitoring
from mongo.backup.inplace import refuse_half_restored
from mongo.client import ask_all
from mongo.nodes import SetNodes
from mongo.upkeep import SteppedDown, replica_set_named
from postgres.scopes import Scope, scopes
from postgres.switchover import SwitchedOver, await_whole
from skillswap_ops.changes import OF_SHARDS, check_change, remember_shard
from skillswap_ops.upkeep import at_work
from skillswap_ops.wiring import LocalContext

DRAINED = "drained"  # names a shard that is drained, and has yet to be removed


@dataclass(frozen=True)
class Left:
    """What has left its group (a shard its cluster), and the seconds that it took.

    `found`: something of it was here still. `heir`: who leads in its stead, where it led; nobody
    led then for as long as `gaps` say.
    """

    node: str
    found: bool = False
    group: str = ""
    heir: str = ""
    gaps: tuple[Gap, ...] = ()
    seconds: float = 0.0


def find(context: LocalContext, name: str, there: Sequence[Node]) -> Node | None:
    """The member of that name that the topology has no more; None where nothing of it is here.

    Raises InvalidInputError where the topology still has it: `provision` would make it again.
    """
    if any(node.name == name for node in context.inventory.nodes):
        raise _wanted_still(name)
    return next((node for node in there if node.name == name), None)


def _wanted_still(name: str) -> InvalidInputError:
    return InvalidInputError(
        f"{name} is in the topology: `provision` would make it again",
        "take it out of the topology file first, and name that file with --topology",
    )


def mongo_member(context: LocalContext, name: str, say: Say) -> Left:
    """Take a member out of its replica set, stop it, and remove its files. Killed anywhere, the
    same again goes on.

    Raises RefusedError, before anything is done, where the others could not go on without it.
    """
    there = mongo.former.former(context)
    node, began = find(context, name, there), context.clock.monotonic()
    with _leaving(context, "mongo member remove"):
        if node is None:
            return Left(name)
        running = former.joined(context, there)
        replica_set = replica_set_named(running, node.group)
        mongo.removal.await_allowed(running, replica_set, node)
        _write_topology(context)
        say(f"{name} leaves {node.group}")
        handed = mongo.removal.take_out(running, replica_set, node)
        _retell(
            context,
            (*mongo.rolling.router_groups(context), *mongo.rolling.archiver_groups(context)),
            mongo.servers.servers(context),
            say,
        )
        mongo.leaving.hurry_one(running, node)
        _forget(context, node, (mongo.former.blank(node),), say)
    return _left(node, handed, context.clock.monotonic() - began)


def pg_member(context: LocalContext, name: str, say: Say) -> Left:
    """Take a member out of its Patroni scope, stop it, and remove its files. Killed anywhere, the
    same again goes on.

    Raises RefusedError, before anything is done, where the others could not go on without it.
    """
    there = postgres.former.former(context)
    node, began = find(context, name, there), context.clock.monotonic()
    with _leaving(context, "pg member remove"):
        if node is None:
            return Left(name)
        running = former.joined(context, there)
        scope = _scope_of(running, node)
        postgres.removal.await_allowed(running, scope, node)
        _write_topology(context)
        say(f"{name} leaves {scope.name}")
        handed = postgres.removal.spare(running, scope, node)
        postgres.removal.tell_proxies(context, name)
        servers = postgres.removal.stop(running, scope, node)
        postgres.removal.forget(running, scope, node)
        _forget(context, node, servers, say)
        await_whole(context, _scope_named(context, scope.name))
    return _left(node, handed, context.clock.monotonic() - began)


def _left(node: Node, handed: SteppedDown | SwitchedOver | None, seconds: float) -> Left:
    heir, gaps = (handed.after, handed.gaps) if handed else ("", ())
    return Left(node.name, found=True, group=node.group, heir=heir, gaps=gaps, seconds=seconds)


def members_of(context: LocalContext, name: str) -> tuple[Node, ...]:
    """The members of a shard that the topology has no more; none where nothing of it is here.

    Raises InvalidInputError where the topology still has it: `provision` would make it again.
    """
    if any(shard.name == name for shard in context.topology.mongo.shards):
        raise _wanted_still(name)
    there = mongo.former.former(context)
    return tuple(node for node in there if node.group == name and node.kind in OF_SHARDS)


def mongo_shard(context: LocalContext, name: str, say: Say) -> Left:
    """Drain a shard, stop its members, and remove their files. Killed anywhere, the same again goes
    on.

    Raises RefusedError, before anything is done, where a database lives on it, or where it holds
    what no router knows of.
    """
    members, began = members_of(context, name), context.clock.monotonic()
    note = context.layout.root / DRAINED
    with _leaving(context, "mongo shard remove"):
        if not members:
            return Left(name)
        running, shard = former.joined(context, members), SetNodes(name, members)
        if not _is_noted(note, name) or mongo.draining.is_registered(running, name):
            mongo.draining.refuse(running, shard)
            _write_topology(context)
            say(f"{name} is drained")
            mongo.draining.drain(running, shard, say)
            write_atomic(note, name)
            remember_shard(context.layout, name)
        _retell(
            context, mongo.rolling.archiver_groups(context), mongo.servers.servers(context), say
        )
        ask_all(members, lambda node: mongo.leaving.hurry_one(running, node))
        ask_all([mongo.former.blank(node) for node in members], context.target.stop)
        for node in members:
            _forget(context, node, (mongo.former.blank(node),), say)
        note.unlink(missing_ok=True)
    seconds = context.clock.monotonic() - began
    return Left(name, found=True, group=context.topology.name, seconds=seconds)


def _is_noted(note: Path, name: str) -> bool:
    """Whether the shard was seen to be empty and is registered no more: its members may be down."""
    return note.exists() and note.read_text("utf-8") == name


@contextmanager
def _leaving(context: LocalContext, command: str) -> Iterator[None]:
    """Hold the lock, with a file that changes nothing but what it may."""
    with at_work(context, command):
        refuse_half_restored(context)
        check_change(context, leaving=True)
        context.target.sweep()
        yield


def _write_topology(context: LocalContext) -> None:
    """The file is the cluster's from here on: no other command starts the member again."""
    write_atomic(context.layout.topology, dump_topology(context.topology), mode=0o644)


def _retell(
    context: LocalContext, groups: Sequence[Group], servers: Sequence[Server], say: Say
) -> None:
    """Restart those, one at a time, whose files no longer name what has left."""
    by_name = {server.name: server for server in servers}
    for group in groups:
        for name in group.members:
            server = by_name[name]
            if context.target.is_written(server) and context.target.runs_as_written(server):
                continue
            say(f"{group.name}: restart {name}")
            group.make(Restart(name))


def _forget(context: LocalContext, node: Node, servers: Sequence[Server], say: Say) -> None:
    say(f"{node.name} is stopped, and its files are removed")
    context.target.forget(*servers)
    tls.authority(context).forget(node.name)
    if monitoring.is_up(context):
        exporter = monitoring.exporter(context)
        if not context.target.runs_as_written(exporter):
            context.target.reload(exporter)


def _scope_of(running: LocalContext, node: Node) -> Scope:
    for scope in scopes(running):
        if node in scope.members:
            return scope
    raise RefusedError(
        f"{node.group} of {node.name} does not run, or is not in the topology",
        "a whole region leaves with `destroy` alone; a fenced one is made anew by `dr failback`",
    )


def _scope_named(context: LocalContext, name: str) -> Scope:
    return next(scope for scope in scopes(context) if scope.name == name)
