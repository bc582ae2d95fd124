"""What undoes each kind of fault, by the kind that its journal entry names."""

from collections.abc import Iterable

from cluster.drill.contracts import Healer
from cluster.faults.fill import DRAIN_VOLUME, drain
from cluster.faults.freeze import THAW_SERVERS, thaw
from cluster.faults.isolate import REJOIN_NETWORK, rejoin
from cluster.faults.kill import START_SERVERS, start_again
from cluster.faults.machines import OPEN_MACHINES, open_again
from cluster.faults.throttle import RELEASE_SERVERS, release
from cluster.server import Server
from cluster.target import Target


def healers(target: Target, servers: Iterable[Server]) -> dict[str, Healer]:
    """The healers of the faults that any engine may use; asks nothing of the cluster."""
    known = tuple(servers)
    return {
        START_SERVERS: start_again(target, known),
        THAW_SERVERS: thaw(target, known),
        REJOIN_NETWORK: rejoin(target),
        RELEASE_SERVERS: release(target, known),
        DRAIN_VOLUME: drain(target, known),
        OPEN_MACHINES: open_again(target),
    }
