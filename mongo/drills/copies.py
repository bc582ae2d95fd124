"""Compares what the members of a set hold of a run, each asked directly."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cluster.clock import wait_for
from cluster.context import Context
from cluster.drill.contracts import Stream
from cluster.errors import OpsError
from cluster.inventory import Kind, Node
from mongo import members
from mongo.client import node_client
from mongo.credentials import ADMIN, login
from mongo.drill_checks import COPIES_FILE
from mongo.nodes import SetNodes, host
from mongo.writer import SegmentStore

LEVEL_SECONDS = 30.0  # for the last member to have what the first one has
HASH_SECONDS = 60.0


def collect_copies(
    context: Context, replica_set: SetNodes, streams: Sequence[Stream], folder: Path
) -> None:
    """Keep what `copies_of` finds of a set."""
    write_copies(folder, copies_of(context, replica_set, streams))


def write_copies(folder: Path, found: Mapping[str, Mapping[str, str]]) -> None:
    """Put it where the checker looks for it."""
    (folder / COPIES_FILE).write_text(json.dumps(found, indent=1), encoding="utf-8")


def copies_of(
    context: Context, replica_set: SetNodes, streams: Sequence[Stream]
) -> dict[str, dict[str, str]]:
    """Hash each of the run's collections on each data-bearing member, once all are level.

    Other collections may be written to meanwhile: of them only the names are compared.
    """
    written = [
        stream.store.namespace
        for stream in streams
        if stream.group == replica_set.name and isinstance(stream.store, SegmentStore)
    ]
    data_bearing = [node for node in replica_set.nodes if node.kind is not Kind.ARBITER]
    _until_level(context, replica_set, {host(node) for node in data_bearing})
    found: dict[str, dict[str, str]] = {}
    for node in data_bearing:
        for what, value in _copies_of(context, node, written).items():
            found.setdefault(what, {})[node.name] = value
    return found


def _until_level(context: Context, replica_set: SetNodes, hosts: set[str]) -> None:
    """Wait until every member has applied what any had at first. Raises UnreachableError."""

    def applied() -> list[tuple[int, int]]:
        answers = members.observe(context, replica_set)
        return [answer.applied for answer in answers if answer.host in hosts]

    target = max(applied())
    wait_for(
        f"{replica_set.name} to be level",
        lambda: min(applied()) >= target,
        seconds=LEVEL_SECONDS,
        clock=context.clock,
    )


def _copies_of(context: Context, node: Node, written: Sequence[tuple[str, str]]) -> dict[str, str]:
    """What this node holds; an empty value for what could not be read."""
    found = dict.fromkeys((f"{database}.{name}" for database, name in written), "")
    found |= dict.fromkeys((f"collections of {database}" for database, _ in written), "")
    user = login(context, ADMIN)
    with suppress(OpsError), node_client(node, user, seconds=HASH_SECONDS) as client:
        for database, name in written:
            hashes = client[database].command("dbHash", collections=[name])["collections"]
            found[f"{database}.{name}"] = hashes.get(name, "absent")
            names = client[database].list_collection_names()
            found[f"collections of {database}"] = ", ".join(sorted(names))
    return found
