"""Keeps what members rolled back of a run: the evidence of what no majority had.

A member that rejoins a set whose history is another undoes its own, and writes every document
that it takes back to `rollback/<collection's uuid>/removed.<time>.bson` in its data folder.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Stream
from cluster.inventory import Kind
from mongo.drill_checks import ROLLBACK_FOLDER, ROLLBACK_INDEX
from mongo.nodes import SetNodes
from mongo.writer import SegmentStore


def collect_rollbacks(
    context: Context, replica_set: SetNodes, streams: Sequence[Stream], folder: Path
) -> None:
    """Copy the files of the run's collections: `rollbacks/<uuid>/<node>/*.bson`."""
    names = {
        str(stream.store.uuid): stream.name
        for stream in streams
        if isinstance(stream.store, SegmentStore) and stream.store.uuid
    }
    kept = folder / ROLLBACK_FOLDER
    kept.mkdir(exist_ok=True)
    for node in replica_set.nodes:
        if node.kind is not Kind.ARBITER:
            for uuid in names:
                found = context.layout.data(node) / "rollback" / uuid
                if found.is_dir():
                    shutil.copytree(found, kept / uuid / node.name, dirs_exist_ok=True)
    (kept / ROLLBACK_INDEX).write_text(json.dumps(names, indent=1), encoding="utf-8")
