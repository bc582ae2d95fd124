"""Whether this is the tool's own pod, and what it finds there."""

import os
from pathlib import Path

from manifests.kubernetes.operations import BENCH, IN_CLUSTER, TOPOLOGY_FILE, TOPOLOGY_FOLDER

TOPOLOGY = Path(TOPOLOGY_FOLDER) / TOPOLOGY_FILE


def inside() -> bool:
    """Whether this process runs in a pod of the cluster that it is about."""
    return os.environ.get(IN_CLUSTER) == "1"


def has_bench() -> bool:
    """Whether this is the pod that has the engines' programs, and room for copies."""
    return os.environ.get(BENCH) == "1"
