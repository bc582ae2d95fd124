"""What follows after the objects: the tool's own Job in the cluster."""

from collections.abc import Callable

from cluster.kubernetes.labels import namespace
from cluster.topology import Topology
from manifests.kubernetes.operations import PROVISION_SECONDS, job_name
from skillswap_ops.kubernetes.client import cluster_api, wait_for_job


def follow(topology: Topology, say: Callable[[str], None]) -> None:
    """Wait until the cluster is provisioned. Raises OpsError with the last lines where it fails."""
    name = job_name(topology)
    say(f"The objects are there; job {name} in {namespace(topology)} makes a cluster of them:")
    wait_for_job(cluster_api(topology), name, say, PROVISION_SECONDS)
