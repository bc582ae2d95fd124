"""TCP connections of this machine between two groups of processes."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import cast

import psutil

from cluster.local.firewall import Flow

OVER = frozenset({psutil.CONN_LISTEN, psutil.CONN_TIME_WAIT, psutil.CONN_CLOSE})


@dataclass(frozen=True)
class End:
    """One end of a connection, and who holds its socket (None: closed, its last bytes on the way).

    A socket that was inherited has an end for each of its holders.
    """

    flow: Flow
    pid: int | None


@dataclass(frozen=True)
class Party:
    """Processes, and the addresses that they listen on."""

    pids: frozenset[int]
    addresses: frozenset[str]


def ends() -> tuple[End, ...]:
    """Every end of every TCP connection over IPv4. Sees other users' processes as root only."""
    return tuple(
        End(Flow(*_address(found.laddr), *_address(found.raddr)), found.pid)
        for found in psutil.net_connections("tcp")
        if found.raddr and found.status not in OVER
    )


def _address(found: object) -> tuple[str, int]:
    """As IPv4, where a socket of IPv6 speaks it; psutil's address is () where there is none."""
    address, port = cast("tuple[str, int]", found)
    return address.removeprefix("::ffff:"), port


def between(one: Party, other: Party, found: Iterable[End]) -> frozenset[Flow]:
    """Both directions of each connection between the parties.

    Clients connect from any address of the machine, so an end is known by who holds it, and only
    where nobody does by its address.
    """
    holders: dict[Flow, set[int | None]] = defaultdict(set)
    for end in found:
        holders[end.flow].add(end.pid)
    cut = {
        flow
        for flow, pids in holders.items()
        for here, there in ((one, other), (other, one))
        if here.pids & pids and _is(there, flow.back, holders.get(flow.back, ()))
    }
    return frozenset(cut | {flow.back for flow in cut})


def _is(party: Party, flow: Flow, pids: Collection[int | None]) -> bool:
    held = [pid for pid in pids if pid is not None]
    return bool(party.pids.intersection(held)) if held else flow.source in party.addresses
