"""Reads a copy that was restored beside the cluster, without leaving a server behind."""

from pathlib import Path

import numpy as np

from cluster.context import Context
from cluster.drill.contracts import OpIds
from cluster.errors import OpsError
from mongo.backup import restoring
from mongo.backup.recover.look import IDS
from mongo.backup.recover.model import KEYFILE_TEXT
from mongo.credentials import keyfile

SECONDS = 600.0


def ids(context: Context, folder: Path, replica_set: str, database: str, collection: str) -> OpIds:
    """The whole numbers among the ids that a collection has in a set's copy. Raises OpsError."""
    own = folder / replica_set
    ended = restoring.run(
        context,
        replica_set,
        ("mongo.backup.recover.look", str(own / restoring.JOB), database, collection),
        {KEYFILE_TEXT: keyfile(context).get_secret_value()},
        SECONDS,
    )
    if ended.code:
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        raise OpsError(f"{replica_set}'s copy was not read: {said[-1]}")
    return np.fromfile(own / IDS, dtype=np.int64)
