"""The drill `rolling-restart`: what clients feel while everything is restarted in turn."""

from cluster.context import Context
from cluster.drill.contracts import Drill, DrillSpec, Rounds, Step
from skillswap_ops.soak import under_load
from skillswap_ops.soak_work import restart_of_everything

SECONDS = 300.0  # some ten seconds a member


def rolling_restart(context: Context) -> Drill:
    """One round of work: the restart, by the functions of `restart --rolling`."""
    work = restart_of_everything(context)
    step = Step(work.name, hold=0, seed=0)
    return under_load(context, ROLLING_RESTART, Rounds((work,), SECONDS, (0, 0), (step,)))


def not_here(context: Context) -> str:
    """Supervision and the lock are the local target's; elsewhere the platform rolls its pods."""
    return "" if context.target.name == "local" else "`restart --rolling` is of the local target"


ROLLING_RESTART = DrillSpec(
    name="rolling-restart",
    hypothesis="Every server is restarted, one member of a group at a time and the leader last: no "
    "acknowledged write is lost, never two lead at once, and no pause is longer than the RTO.",
    fault="a rolling restart of everything: sets, archiver, routers, etcd, PostgreSQL with its "
    "pools, proxies",
    must_hold="nothing acknowledged is lost, every pause is within the RTO, members end equal",
    seconds=SECONDS,
    build=rolling_restart,
    tags=frozenset({"mongo", "postgres", "edge", "day-2"}),
    skip=not_here,
)
