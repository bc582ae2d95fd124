"""What each drill's stamps should be: from the live cluster, or from the topology alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import mongo.forecast
import mongo.live
import postgres.forecast
from cluster.context import Context
from cluster.drill.contracts import DrillSpec, Prediction
from cluster.drill.montecarlo import Simulation
from cluster.errors import OpsError
from cluster.topology import Topology
from mongo import nodes
from mongo.live import LiveTimings
from postgres import patroni
from postgres.dynamic import JsonObject
from postgres.scopes import primary_scope
from skillswap_ops.machine_drills import forecast as machines
from skillswap_ops.service_drills import forecast as services

LIVE = "the live configuration"
DECLARED = "the topology"
CONFIG_DRILLS = frozenset({"mongo-config-loss"})  # it is another set that is hurt
NOTHING = "Nothing is foretold, as no failover is expected"
RESTORES = "Nothing is foretold: a restore takes as long as its data (`backup prove` measures it)"


@dataclass(frozen=True)
class Foretold:
    """A drill; `late` and `slow` are how likely the SLA's `rto` and `election` are broken.

    `rto` and `election` are seconds, the probabilities 0 to 1, None where nothing can be said.
    `prediction` is None, and `why` says so, where nothing is foretold.
    """

    drill: str
    source: str
    prediction: Prediction | None
    rto: float
    late: float | None
    election: float | None = None
    slow: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Basis:
    """The timings to predict from; `config` are those of MongoDB's config servers."""

    mongo: LiveTimings
    config: LiveTimings
    mongo_source: str
    patroni: JsonObject
    patroni_source: str


def declared(topology: Topology) -> Basis:
    """What a cluster of this topology would run with."""
    timings = mongo.forecast.declared(topology.mongo.timings)
    return Basis(
        mongo=timings,
        config=timings,
        mongo_source=DECLARED,
        patroni=postgres.forecast.declared(topology.postgres.timings),
        patroni_source=DECLARED,
    )


def live(context: Context, *, must: bool, on_unread: Callable[[str], None]) -> Basis:
    """What the cluster runs with; breaks nothing.

    An engine that does not answer is predicted from the topology, and `on_unread` is told why.
    Raises that engine's OpsError where it `must` answer.
    """
    found = declared(context.topology)
    hurt = nodes.shards(context)[0]
    try:
        timings = mongo.live.live_timings(context, hurt)
        config = mongo.live.live_timings(context, nodes.config_servers(context))
        mongo_source = LIVE
    except OpsError as error:
        if must:
            raise
        timings, config, mongo_source = found.mongo, found.config, found.mongo_source
        on_unread(f"MongoDB is predicted from {DECLARED}: {error.message}")
    try:
        dynamic, patroni_source = patroni.config(patroni.leader_of(primary_scope(context))), LIVE
    except OpsError as error:
        if must:
            raise
        dynamic, patroni_source = found.patroni, found.patroni_source
        on_unread(f"PostgreSQL is predicted from {DECLARED}: {error.message}")
    return Basis(timings, config, mongo_source, dynamic, patroni_source)


def foretell(topology: Topology, basis: Basis, specs: tuple[DrillSpec, ...]) -> list[Foretold]:
    """The predictions of these drills, in their order."""
    simulations = _simulations(topology, basis)
    return [_foretold(topology, basis, spec, simulations.get(spec.name)) for spec in specs]


def _simulations(topology: Topology, basis: Basis) -> Mapping[str, Callable[[], Simulation]]:
    checks = topology.edge.checks
    return {
        **{
            name: partial(simulate, basis.config if name in CONFIG_DRILLS else basis.mongo)
            for name, simulate in mongo.forecast.SIMULATIONS.items()
        },
        **{
            name: partial(simulate, basis.patroni, checks)
            for table in (postgres.forecast.SIMULATIONS, machines.SIMULATIONS)
            for name, simulate in table.items()
        },
        "chain-double-kill": partial(services.double_kill, basis.mongo),
        "services-stale-pool": partial(services.planned, basis.patroni, checks),
    }


def _foretold(
    topology: Topology,
    basis: Basis,
    spec: DrillSpec,
    simulate: Callable[[], Simulation] | None,
) -> Foretold:
    of_mongo = "mongo" in spec.tags
    source = basis.mongo_source if of_mongo else basis.patroni_source
    promised = [topology.sla.mongo.rto] if of_mongo else []
    if "postgres" in spec.tags or not promised:
        promised.append(topology.sla.postgres.rto)
    rto = min(promised)
    if simulate is None:
        restores = "restore" in spec.tags and "corruption" not in spec.name
        why = RESTORES if restores else NOTHING
        return Foretold(spec.name, source, None, rto, None, why=why)
    simulation = simulate()
    election = topology.sla.mongo.election if of_mongo and simulation.elected is not None else None
    return Foretold(
        drill=spec.name,
        source=source,
        prediction=simulation.prediction,
        rto=rto,
        late=simulation.risk(rto),
        election=election,
        slow=None if election is None else simulation.election_risk(election),
    )
