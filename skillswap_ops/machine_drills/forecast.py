"""How long the payments should be away: their primary goes with what it runs on."""

from collections.abc import Callable, Mapping

from cluster.drill.montecarlo import Simulation
from cluster.topology import HaproxyChecks
from postgres.dynamic import JsonObject
from postgres.forecast import simulate_node_loss, simulate_switchover

# A zone goes without a word, and its lease runs out; whoever is evicted is told, and gives it back.
SIMULATIONS: Mapping[str, Callable[[JsonObject, HaproxyChecks], Simulation]] = {
    "zone-loss": simulate_node_loss,
    "machine-drain": simulate_switchover,
}
