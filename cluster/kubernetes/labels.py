"""Labels that objects carry and that the target looks for; where the cluster lives."""

from cluster.topology import Topology

PART_OF = "app.kubernetes.io/part-of"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
HOSTNAME = "kubernetes.io/hostname"

TOOL = "operations"  # COMPONENT of the tool's own pods

# Members talk to each other while they are JOINED: policies between members ask for it. A policy
# can only allow, so that to cut a member off is to take this label away.
PEERS = "skillswap.io/peers"
JOINED = "joined"


def namespace(topology: Topology) -> str:
    """Where everything lives."""
    return topology.kubernetes.namespace or topology.name
