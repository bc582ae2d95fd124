"""Collections that drill runs have left in the segments."""

import re
from collections.abc import Iterable

from cluster.context import Context
from cluster.drill.leftovers import Leftover
from mongo import nodes
from mongo.client import router_client
from mongo.credentials import ADMIN, APPLICATION, login

OF_A_RUN = re.compile(r"drill_(?P<run>[0-9a-f]{8})_")  # as `mongo.writer.SegmentStore` names them


def leftovers(context: Context) -> tuple[Leftover, ...]:
    """Every collection of a run. Raises OpsError where no router can say."""
    with router_client(nodes.routers(context), login(context, APPLICATION)) as client:
        return tuple(
            Leftover(found["run"], segment, name)
            for segment in context.topology.mongo.segments
            for name in sorted(client[segment].list_collection_names())
            if (found := OF_A_RUN.match(name))
        )


def drop(context: Context, places: Iterable[Leftover]) -> None:
    """Drop these collections, which the application may not. Idempotent."""
    with router_client(nodes.routers(context), login(context, ADMIN)) as client:
        for place in places:
            client[place.within][place.name].drop()
