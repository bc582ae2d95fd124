"""pg-etcd-loss."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Effect, Stage
from cluster.errors import UnreachableError
from cluster.inventory import Node
from cluster.target import CanKill
from postgres import drill_checks, patroni
from postgres.drill_checks import FailsafeSeen
from postgres.drills.common import drill, streams, timings, untouched
from postgres.drills.skips import no_etcd_to_lose
from postgres.etcd import member_health
from postgres.faults.etcd_kill import all_etcd, one_etcd
from postgres.scopes import Scope, primary_scope

BETWEEN = 12.0  # seconds: a client of the lost member has long found another by then
BEYOND = 10.0  # seconds after the lease without failsafe mode would have ended


def etcd_loss(context: Context) -> Drill:
    """One etcd member, then all of them, for longer than the leader's lease."""
    scope = primary_scope(context)
    ttl = float(context.topology.postgres.timings.ttl)
    made = drill(
        context,
        ETCD_LOSS,
        stages=[
            Stage(partial(one_etcd, context, scope)),
            Stage(partial(all_etcd, context, scope), after=BETWEEN),
        ],
        effect=Effect.SAME_LEADER,
        load=streams(context, scope, untouched(context)),
        times=timings(context, hold=ttl + BEYOND),
        checks=[drill_checks.FAILSAFE],
    )
    return replace(made, preserve=partial(_keep, scope))


def _keep(scope: Scope, folder: Path) -> None:
    states = patroni.states(scope.members, seconds=5)
    leader = next((name for name, state in states.items() if state.primary), "")
    seen = FailsafeSeen(
        leader=leader or "nobody",
        active=bool(leader) and states[leader].failsafe_active,
        etcd_answering=sum(map(_has_leader, scope.etcd)),
    )
    (folder / drill_checks.FAILSAFE_FILE).write_text(seen.model_dump_json(indent=2), "utf-8")


def _has_leader(node: Node) -> bool:
    try:
        return member_health(node).has_leader
    except UnreachableError:
        return False


ETCD_LOSS = DrillSpec(
    name="pg-etcd-loss",
    hypothesis="One etcd member less is not felt; without any, failsafe mode keeps the primary, "
    "for longer than its lease, and writes go on.",
    fault="SIGKILL one etcd member, then all of them",
    must_hold="no outage, no change of leader, nothing lost",
    seconds=80,
    build=etcd_loss,
    needs=(CanKill,),
    skip=no_etcd_to_lose,
    tags=frozenset({"postgres"}),
)
