"""Whether the whole cluster is as it should be, by every engine's own idea of that."""

import mongo.live
import postgres.wholeness
from cluster.context import Context
from cluster.errors import OpsError


def lacks(context: Context) -> str:
    """What the cluster lacks of being whole; "" for nothing."""
    try:
        return "; ".join([*mongo.live.shortcomings(context), *postgres.wholeness.missing(context)])
    except OpsError as error:
        return error.message
