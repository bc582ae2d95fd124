"""Changes of the leading region on the local target: the lock and supervision around them."""

import postgres.dr_failback
import postgres.dr_promote
from cluster.backup.contracts import Say
from cluster.lock import exclusive
from postgres import restore_state
from postgres.regions import Loss
from skillswap_ops.restoring import ensure_supervision
from skillswap_ops.wiring import LocalContext


def promote(context: LocalContext, say: Say, *, gone: bool) -> Loss:
    """Promote the DR region, holding the cluster's lock."""
    with exclusive(context.layout.lock, "dr promote"):
        restore_state.refuse_half_done(context.layout)
        ensure_supervision(context)
        return postgres.dr_promote.promote(context, say, gone=gone)


def failback(context: LocalContext, say: Say) -> None:
    """Give the lead back to the topology's region, holding the cluster's lock."""
    with exclusive(context.layout.lock, "dr failback"):
        restore_state.refuse_half_done(context.layout)
        ensure_supervision(context)
        postgres.dr_failback.failback(context, say)
