"""What every engine function needs, gathered once by the command line and passed in."""

from dataclasses import dataclass

from cluster.clock import SYSTEM_CLOCK, Clock
from cluster.inventory import Inventory
from cluster.layout import Layout
from cluster.programs import Programs
from cluster.secrets import SecretStore
from cluster.target import Target
from cluster.topology import Topology


@dataclass(frozen=True)
class Context:
    """One cluster: what it should be, where it lives, and how to reach it."""

    topology: Topology
    inventory: Inventory
    layout: Layout
    secrets: SecretStore
    target: Target
    programs: Programs
    clock: Clock = SYSTEM_CLOCK

    @property
    def trust(self) -> str:
        """The file by which clients verify the cluster's servers; "" where TLS is off."""
        return trust(self.topology, self.layout)


def trust(topology: Topology, layout: Layout) -> str:
    """The file by which clients verify a cluster's servers; "" where TLS is off."""
    return str(layout.authority) if topology.tls.enabled else ""
