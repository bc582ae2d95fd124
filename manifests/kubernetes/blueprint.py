"""What all components are made from: values, gathered once by the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.inventory import Inventory, Kind, Node
from cluster.server import Server
from cluster.topology import Topology
from manifests.kubernetes.vault import Recorded
from manifests.services.instances import Stores
from manifests.services.model import Service


@dataclass(frozen=True)
class Blueprint:
    """The topology, and what the engines make of it for pods.

    `servers` have the addresses of `inventory`; those of a DR cluster of its own are as that one
    sees them. `secrets` has taken down which passwords they hold.
    """

    topology: Topology
    inventory: Inventory
    servers: tuple[Server, ...]
    stores: Stores
    services: tuple[Service, ...]
    secrets: Recorded

    def of(self, *kinds: Kind, group: str | None = None) -> tuple[Server, ...]:
        """The servers of the nodes of these kinds."""
        nodes = self.inventory.of(*kinds, group=group)
        return tuple(server for server in self.servers if server.node in nodes)

    def on(self, node: Node) -> tuple[Server, ...]:
        """The servers of a node, by its name: DR's may see others by another address."""
        return tuple(server for server in self.servers if server.node.name == node.name)

    def zones(self, region: str) -> Sequence[str]:
        """The zones of a region."""
        return self.topology.region(region).zones
