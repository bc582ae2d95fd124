"""Keeps what members rolled back of a run: the evidence of what no majority had.

A member that rejoins a set whose history is another undoes its own, and writes every document
that it takes back to `rollback/<collection's uuid>/removed.<time>.bson` in its data folder.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Stream
from cluster.inventory import Kind
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import APPLICATION, login
from mongo.drill_checks import ROLLBACK_FOLDER, ROLLBACK_INDEX
from mongo.nodes import SetNodes
from mongo.writer import SegmentStore


def collect_rollbacks(
    context: Context, replica_set: SetNodes, streams: Sequence[Stream], folder: Path
) -> None:
    """Copy the files of the run's own collections: `rollbacks/<uuid>/<node>/*.bson`."""
    names = {
        str(stream.store.uuid): stream.name
        for stream in streams
        if isinstance(stream.store, SegmentStore) and stream.store.uuid
    }
    keep_rollbacks(context, replica_set, names, folder)


def collections(context: Context, segment: str) -> dict[str, str]:
    """The name of each collection of a segment by its uuid. Raises OpsError: no router can say."""
    with router_client(nodes.routers(context), login(context, APPLICATION)) as client:
        return {
            str(row["info"]["uuid"].as_uuid()): str(row["name"])
            for row in client[segment].list_collections()
            if "uuid" in row["info"]
        }


def keep_rollbacks(
    context: Context,
    replica_set: SetNodes,
    names: Mapping[str, str],
    folder: Path,
    since: float = 0.0,
) -> None:
    """Copy the files of the collections of these uuids that are younger than `since` (Unix time).

    `names` says what each collection is called; that is kept beside the files.
    """
    kept = folder / ROLLBACK_FOLDER
    kept.mkdir(exist_ok=True)
    for node in replica_set.nodes:
        if node.kind is Kind.ARBITER:
            continue
        for uuid in names:
            for file in (context.layout.data(node) / "rollback" / uuid).glob("*.bson"):
                if file.stat().st_mtime >= since:
                    place = kept / uuid / node.name
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, place)
    index = kept / ROLLBACK_INDEX
    known = json.loads(index.read_text("utf-8")) if index.exists() else {}
    index.write_text(json.dumps({**known, **names}, indent=1), encoding="utf-8")
