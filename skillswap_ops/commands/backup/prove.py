"""`backup prove`."""

import click

from cluster.errors import FaultNotUndoneError, RefusedError
from skillswap_ops.options import Selection, selects_cluster


@click.command("prove")
@click.option("--seed", type=click.IntRange(0), help="Of the run's chance.  [default: any]")
@selects_cluster
def prove(selection: Selection, *, seed: int | None) -> None:
    """Prove that the newest backups can be restored: do it, beside the cluster, and compare.

    A short load writes to both stores, each write in a ledger. The newest backup of each engine is
    restored to an instant of it, and read: everything acknowledged by then must be there, nothing
    that was sent later. Nothing of the cluster is touched. It is the drill `backup-proof`: its
    evidence is in the history, and `drill due` says when it must be done again.

    On Kubernetes a pod with the engines' programs and a volume of its own does it
    (docs/kubernetes.md).

    Exit codes: 0 proved, 1 not, 3 inconclusive.

    \b
    Examples:
      skillswap-ops backup prove
      skillswap-ops backup prove --output json
      skillswap-ops backup prove --target kubernetes
      skillswap-ops drill report backup-proof --html
    """
    from skillswap_ops.commands.drill.run import run_and_show
    from skillswap_ops.drill_series import Wishes, worst_exit_code
    from skillswap_ops.drilling import any_seed, why_skipped
    from skillswap_ops.restore_drills.proof import PROOF
    from skillswap_ops.wiring import context_of

    if why := why_skipped(context_of(selection, must_exist=True), PROOF):
        # As a drill it would be skipped, with 0; here that would be a proof that nobody did.
        raise RefusedError(f"nothing is proved: {why}")
    wishes = Wishes(any_seed() if seed is None else seed)
    code = worst_exit_code(run_and_show(selection, [PROOF], wishes, full=True, yes=True))
    if code == FaultNotUndoneError.exit_code:
        raise FaultNotUndoneError("a fault is still in place", "run `skillswap-ops drill heal`")
    if code:
        raise SystemExit(code)
