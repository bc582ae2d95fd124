"""The PostgreSQL side alone, provisioned as `provision` does it: for tests that need no MongoDB."""

from cluster.files import write_atomic
from cluster.local.steps import start_steps, supervisor_step
from cluster.lock import exclusive
from cluster.plan import Outcome, execute
from cluster.topology_file import dump_topology
from postgres import regions, restore_state
from postgres.servers import servers
from postgres.steps import steps
from skillswap_ops.provisioning import make_home
from skillswap_ops.wiring import LocalContext
from tests.conftest import Lab


def provision(lab: Lab) -> LocalContext:
    """Every PostgreSQL server runs, and is whole."""
    context = lab.context
    make_home(context)
    with exclusive(context.layout.lock, "provision"):
        regions.refuse_half_done(context.layout)
        restore_state.refuse_half_done(context.layout)
        write_atomic(context.layout.topology, dump_topology(context.topology), mode=0o644)
        plan = (
            supervisor_step(context.target, context.clock),
            *start_steps(context.target, servers(context)),
            *steps(context),
        )
        ends = execute(plan, lambda _: None)
    failed = [f"{end.step.name}: {end.why}" for end in ends if end.outcome is Outcome.FAILED]
    assert not failed, failed
    return context
