"""Whether this is the tool's own pod, and what it finds there."""

import os
from pathlib import Path

from manifests.kubernetes.operations import IN_CLUSTER, TOPOLOGY_FILE, TOPOLOGY_FOLDER

TOPOLOGY = Path(TOPOLOGY_FOLDER) / TOPOLOGY_FILE


def inside() -> bool:
    """Whether this process runs in a pod of the cluster that it is about."""
    return os.environ.get(IN_CLUSTER) == "1"
