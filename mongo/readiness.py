"""The last check of the cluster: the application writes and reads back through every router."""

from collections.abc import Callable
from datetime import UTC, datetime

from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from cluster.context import Context
from cluster.errors import OpsError
from cluster.inventory import Node
from cluster.plan import Finding, Step, done, todo
from cluster.schema.guarantees import SENSITIVE
from mongo import nodes
from mongo.client import QUICK_SECONDS, SET_SECONDS, Document, ask_all, router_client, unless_silent
from mongo.credentials import APPLICATION, login
from mongo.guarantees import write_concern
from mongo.members import members_step
from mongo.nodes import CLUSTER_COMPONENT
from mongo.sharding import segment_step

COLLECTION = "ops_readiness"  # in every segment, one document a router
READY_STEP = "cluster ready"

Marks = Collection[Document]


def step(context: Context) -> Step:
    """Every segment takes a majority write through every router, and gives it back."""
    segments, routers = context.topology.mongo.segments, nodes.routers(context)
    paths = f"{len(segments)} segments through {len(routers)} routers"

    def check() -> Finding:
        missing = _unproved(context, _is_marked, QUICK_SECONDS)
        if missing:
            return todo(f"not yet written: {', '.join(missing)}")
        return done(f"{paths} proved")

    def act() -> None:
        missing = _unproved(context, _mark, SET_SECONDS)
        if missing:
            raise OpsError(f"written, but not read back at majority: {', '.join(missing)}")

    return Step(
        name=READY_STEP,
        component=CLUSTER_COMPONENT,
        what=f"write and read back as the application: {paths}",
        check=unless_silent(check),
        act=act,
        needs=(
            *map(segment_step, segments),
            *(f"start {router.name}" for router in routers),
            *(members_step(replica_set) for replica_set in nodes.replica_sets(context)),
        ),
    )


def _unproved(context: Context, prove: Callable[[Marks, Node], bool], seconds: float) -> list[str]:
    """The ways, as "segment by router", for which `prove` says no."""

    def of_router(router: Node) -> list[str]:
        with router_client([router], login(context, APPLICATION), seconds=seconds) as client:
            return [
                f"{segment} by {router.name}"
                for segment in context.topology.mongo.segments
                if not prove(client[segment][COLLECTION], router)
            ]

    return [way for ways in ask_all(nodes.routers(context), of_router) for way in ways]


def _is_marked(marks: Marks, router: Node) -> bool:
    majority = marks.with_options(read_concern=ReadConcern("majority"))
    return majority.find_one({"_id": router.name}) is not None


def _mark(marks: Marks, router: Node) -> bool:
    safe = marks.with_options(write_concern=write_concern(SENSITIVE))
    mark = {"$set": {"written": datetime.now(UTC)}}
    safe.update_one({"_id": router.name}, mark, upsert=True)
    return _is_marked(marks, router)
