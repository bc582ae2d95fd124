"""Where instances and their proxies stand: names, zones, addresses, ports.

All of it follows from a service's place in the catalogue and an instance's number alone, so that a
configuration that names them need not be read from anywhere.
"""

from itertools import cycle, islice

from cluster.inventory import BLOCKS, Kind, Node, address, fleet_names
from cluster.topology import Topology
from manifests.services.catalogue import CATALOGUE

PORT = 8080  # of every instance, and of the public side of the proxies
INTERNAL_PORTS = 9000  # and the service's place: how services reach each other
STATS_PORT = 7000
PROXIES = 2
CANARY = 0  # the number of the instance that tries a new revision before the others
CANARY_INDEX = 250  # its address, out of the way of any number of replicas


def proxies(topology: Topology) -> tuple[Node, ...]:
    """The machines of the services' own HAProxies, in different zones."""
    region = topology.region(None)
    names = fleet_names("web", PROXIES)
    return tuple(
        Node(name, Kind.WEB, "web", region.name, zone, address(topology, BLOCKS[Kind.WEB], number))
        for number, (name, zone) in enumerate(
            zip(names, cycle(region.zones), strict=False), start=1
        )
    )


def instance_name(service: str, number: int) -> str:
    """`auth-1`; `auth-canary`."""
    return f"{service}-canary" if number == CANARY else f"{service}-{number}"


def instance(topology: Topology, service: str, number: int, trust: str = "") -> Node:
    """The machine of an instance. Neighbours in the catalogue begin in different zones.

    `trust` is the file by which who asks it verifies it; empty: it speaks in the clear.
    """
    region, place = topology.region(None), CATALOGUE.place(service)
    zones = islice(cycle(region.zones), place + number, None)
    block = BLOCKS[Kind.SERVICE] + place
    index = CANARY_INDEX if number == CANARY else number
    return Node(
        instance_name(service, number),
        Kind.SERVICE,
        f"service {service}",  # `payments` is a Patroni scope's name as well
        region.name,
        next(zones),
        address(topology, block, index),
        trust=trust,
    )


def internal_port(service: str) -> int:
    """The proxies' port that leads to a service."""
    return INTERNAL_PORTS + CATALOGUE.place(service)


def proxy_of(topology: Topology, number: int) -> Node:
    """The proxy that an instance calls other services through."""
    nodes = proxies(topology)
    return nodes[number % len(nodes)]
