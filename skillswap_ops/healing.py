"""What undoes each kind of fault, over all engines; asks nothing of the cluster."""

import mongo.drills
import postgres.drills
from cluster.context import Context
from cluster.drill.contracts import Healer
from cluster.faults import healers as generic
from skillswap_ops.engines import all_servers
from skillswap_ops.one_instant import RESTORE_BOTH, restore_both


def all_healers(context: Context) -> dict[str, Healer]:
    """What undoes each kind of fault, by the kind that its journal entry names."""
    return {
        **mongo.drills.healers(context),
        **postgres.drills.healers(context),
        RESTORE_BOTH: restore_both(context),
        **generic.healers(context.target, all_servers(context)),
    }
