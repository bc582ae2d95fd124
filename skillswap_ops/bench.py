"""Where copies are restored whose cluster's folders are on other machines.

A bench is the same cluster seen from there: its topology, nodes and secrets, with this machine's
folders and programs. So a restore is one code, whoever's hands it is done by.
"""

from cluster.context import Context
from cluster.layout import PodLayout
from cluster.local.target import LocalTarget
from cluster.local.users import run_as
from cluster.programs import Programs
from cluster.target import CanRestore
from postgres import bench as postgres_bench
from postgres.scopes import primary_scope
from skillswap_ops.wiring import LocalContext

FOLDERS = ("conf", "data", "run")


def bench_of(context: Context) -> LocalContext | None:
    """This machine as a bench; None where servers' folders are here: they are one already."""
    if not context.target.lacks(CanRestore):
        return None
    assert isinstance(context.layout, PodLayout)  # noqa: S101 - of servers that are elsewhere
    return bench_at(context, context.layout)


def bench_at(context: Context, layout: PodLayout) -> LocalContext:
    """A bench in these folders. Its node is whichever is asked for: it has room for one."""
    user = run_as(context.topology.local.run_as)
    return LocalContext(
        topology=context.topology,
        inventory=context.inventory,
        layout=layout,
        secrets=context.secrets,
        target=LocalTarget(layout, user, "", context.clock),
        programs=Programs(),
        clock=context.clock,
    )


def lay_out(context: Context, bench: LocalContext) -> None:
    """Make its folders and files. Idempotent; raises UnreachableError where nobody leads."""
    own = bench.layout.node(primary_scope(bench).founder)
    for folder in (own, *(own / name for name in FOLDERS)):
        bench.target.make_folder(folder)
    postgres_bench.lay_out(context, bench)
